"""Vectors in and out of the store, and several corpora as one."""
