"""The vocabulary and the files that extraction and classification share.

Needs neither torch nor scikit-learn. What a notebook needs stands here; it is imported when it is
first used, so ``import embeddings_store`` costs nothing.

>>> import tempfile
>>> import embeddings_store
>>> with tempfile.TemporaryDirectory() as folder:
...     store = embeddings_store.open_store(embeddings_store.write_example_store(folder))
...     fold = store.fold(1, modalities=["text"])
>>> fold.frame("test").iloc[0, :3].tolist()
['test', 'anger', 'Ada']
"""

import lazy_loader

# The names and where they come from stand in __init__.pyi, for type checkers and for this line.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
