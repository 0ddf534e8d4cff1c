"""A fitted system on disk: written, read, inspected and described; reading one executes nothing."""
