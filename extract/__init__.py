"""Media to vectors: the only package that imports torch and Transformers."""
