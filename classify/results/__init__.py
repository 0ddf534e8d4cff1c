"""The files that a run of the grid leaves behind, and what may be read from them."""
