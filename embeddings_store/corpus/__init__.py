"""A corpus as the store knows it.

Its rows, its labels and its transcripts, checked once and then trusted.
"""
