"""Figures of merit, how sure they are, and whether two systems differ."""
