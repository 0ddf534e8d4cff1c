"""The command ``embeddings-store``, and what all commands have in common."""
