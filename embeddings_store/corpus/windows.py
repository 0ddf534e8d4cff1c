"""A corpus of windows: which clip each of its rows is cut from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest

CLIP = "meta_clip"
WINDOWS = "meta_windows"  # how many a row is pooled of

WINDOW, VIDEO, UTTERANCE = "window", "video", "utterance"


def is_windowed(manifest: Manifest) -> bool:
    """Say whether the rows are windows that name their clip."""
    return CLIP in manifest.table


def clips_of(manifest: Manifest) -> NDArray[np.str_]:
    """Return the clip of each row (N,): what the column ``meta_clip`` says, else the row itself.

    >>> columns = {"id": ["v1#0", "v1#1"], "text": ["oh", "yes"], "meta_clip": ["v1", "v1"]}
    >>> clips_of(Manifest.from_columns("mine", columns)).tolist()
    ['v1', 'v1']
    """
    if not is_windowed(manifest):
        return manifest.ids
    clips = manifest.column(CLIP)
    return np.where(clips == "", manifest.ids, clips)


def unit_of(manifest: Manifest) -> str:
    """Return what a row of the corpus is: ``window``, ``video`` (pooled windows) or ``utterance``.

    >>> unit_of(Manifest.from_columns("mine", {"id": ["a"], "text": ["oh"]}))
    'utterance'
    """
    if is_windowed(manifest):
        return WINDOW
    return VIDEO if WINDOWS in manifest.table else UTTERANCE
