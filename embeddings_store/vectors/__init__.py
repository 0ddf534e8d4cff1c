"""Vectors and class scores on disk and in memory, never without their ids, their fold and their label order."""
