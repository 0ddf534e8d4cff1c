"""Stored vectors and a bundle make labels: of a corpus with a score, of new media in time."""
