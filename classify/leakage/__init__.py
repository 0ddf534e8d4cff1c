"""The leakage audit: what is known of the test rows that must not be."""
