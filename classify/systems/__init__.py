"""Systems as expressions: written down, parsed, and evaluated on one fold."""
