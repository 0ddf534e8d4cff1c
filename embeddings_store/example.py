"""A small generated store to try things on: four speakers, three emotions, two modalities."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from embeddings_store.exchange.interchange import ImportJob, import_vectors

CORPUS = "example"
EMOTIONS = ("anger", "neutral", "sadness")
SPEAKERS = ("Ada", "Ben", "Cleo", "Dan")
WIDTHS = {"audio": 4, "text": 6}
# How far the classes lie apart, in standard deviations of the noise: text tells more than sound.
DISTANCE = {"audio": 0.8, "text": 1.4}


def write_example_store(folder: str | Path, rows_per_speaker: int = 12, seed: int = 0) -> Path:
    """Write a store of generated vectors, the same ones each time.

    A fold holds out one speaker. What comes out says nothing about emotion: it is there for
    examples, notebooks and first tries.

    Args:
        folder: Where the store's folder ``example-store`` is made.
        rows_per_speaker: How many utterances each of the four speakers has.
        seed: For another sample of the same kind.

    Returns:
        The store's folder.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in write_example_store(folder).iterdir())
    ['example']
    """
    generator = np.random.default_rng(seed)
    speakers = np.repeat(SPEAKERS, rows_per_speaker)
    labels = np.tile(EMOTIONS, len(speakers))[: len(speakers)]
    ids = [f"{speaker}-{number:03d}" for number, speaker in enumerate(speakers)]
    store = Path(folder) / "example-store"
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "rows.csv"
        pd.DataFrame({"id": ids, "label": labels, "speaker": speakers}).to_csv(table, index=False)
        for modality, width in WIDTHS.items():
            centres = generator.normal(size=(len(EMOTIONS), width)) * DISTANCE[modality]
            classes = np.searchsorted(EMOTIONS, labels)
            vectors = centres[classes] + generator.normal(size=(len(ids), width))
            source = Path(scratch) / f"{modality}.npz"
            np.savez(source, ids=np.array(ids), vectors=vectors.astype(np.float32))
            import_vectors(
                ImportJob(source, store, "none", table, corpus=CORPUS, modality=modality)
            )
    return store
