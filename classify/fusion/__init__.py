"""Fusion: several modalities become one row (early), or several scores one answer (late)."""
