"""A corpus as the store knows it: its rows, its labels and its transcripts, checked once and then trusted."""
