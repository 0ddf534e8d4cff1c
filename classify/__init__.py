"""From stored vectors and scores to decisions: fusion, classifiers, the grid and its tables.

Never imports torch. What a notebook needs stands here; it is imported when it is first used, so
``import classify`` costs nothing.

>>> import tempfile
>>> import classify, embeddings_store
>>> with tempfile.TemporaryDirectory() as folder:
...     store = embeddings_store.write_example_store(folder)
...     result = classify.run_system("mean(svm(audio), svm(text))", store, jobs=1)
>>> sorted(result.predictions.columns)
['fold', 'id', 'label', 'predicted', 'seed']
"""

import lazy_loader

# The names and where they come from stand in __init__.pyi, for type checkers and for this line.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
