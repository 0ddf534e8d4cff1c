"""Vectors and class scores, never without their ids, their fold and their label order."""
