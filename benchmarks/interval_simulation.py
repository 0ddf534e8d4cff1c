"""prototype."""
