"""Scripts that measure, and the tables that they wrote; nothing imports this package."""
