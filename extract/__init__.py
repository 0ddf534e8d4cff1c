"""Media to vectors: the only package that imports torch and Transformers.

What a notebook needs stands here; it is imported when it is first used, so ``import extract`` costs
nothing, and reading a corpus needs no torch.

>>> import extract
>>> "ravdess" in extract.corpus_names()
True
"""

import lazy_loader

# The names and where they come from stand in __init__.pyi, for type checkers and for this line.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
