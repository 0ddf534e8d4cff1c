"""Sound: looks at a media file before any library does, and reads the part that is wanted."""
