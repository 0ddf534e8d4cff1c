"""The page's sentences, a module for each thing they are about."""
