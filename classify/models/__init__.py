"""The classifiers and the probe."""
