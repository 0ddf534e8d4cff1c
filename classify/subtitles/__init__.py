"""From words with times and an emotion track to styled subtitles; imports no other room."""
