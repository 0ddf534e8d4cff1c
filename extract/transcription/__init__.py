"""From sound to words with times: by a speech recogniser, or from subtitles that are there."""
