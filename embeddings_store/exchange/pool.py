"""The windows of each clip as one row: mean and deviation of their vectors.

A pooled corpus stands beside the windows in the store, so that a grid which learns on videos is a
run over a corpus like any other: its folds, its audit and its bundle are of videos.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.windows import CLIP, WINDOWS, clips_of, is_windowed
from embeddings_store.errors import StoreMismatchError, UsageError
from embeddings_store.provenance import collect, fingerprint
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, store_path, write_embeddings

POOLING = "mean+std over windows"
ENDING = "-videos"
# What one window says of an encoder is true of the clip: the worst counts.
SEEN_ORDER = ("no", "unknown", "select", "fit")


def pool_windows(store: Path, corpus: str) -> str:
    """Put a corpus of clips into a store, whose vectors are pooled over their windows.

    Vectors that are there already and were made of the same windows stay.

    Args:
        store: The store's folder.
        corpus: A corpus of windows in it.

    Returns:
        The pooled corpus' name.

    Raises:
        UsageError: The corpus is not one of windows, or an encoder was trained per fold.
        StoreError: The store does not hold it, or what lies there is damaged.
    """
    entries = catalogue(store, corpus)
    windows = Manifest.load(store / corpus)
    if not is_windowed(windows):
        raise UsageError(
            f"corpus {corpus!r} holds no windows, so there is nothing to pool into videos; cut it "
            "with extract-features --window-s S"
        )
    tuned = [entry.ref.folder for entry in entries if entry.fold != "any"]
    if tuned:
        raise UsageError(
            f"{tuned[0]} was fine-tuned per fold; windows are pooled of frozen encoders alone"
        )
    manifest = _clips(windows)
    manifest.enter(store)
    for entry in entries:
        _pool(store, manifest, windows, entry)
    return manifest.name


def _clips(windows: Manifest) -> Manifest:
    """Return a row per clip: what all its windows say, and how many they are."""
    table = windows.table.drop(columns="id").assign(**{CLIP: clips_of(windows)})
    by_clip = table.groupby(CLIP, sort=False)
    clips = by_clip.first().reset_index().rename(columns={CLIP: "id"})
    clips[WINDOWS] = by_clip.size().to_numpy(dtype=np.int64)
    clips["start_s"] = by_clip["start_s"].min().to_numpy()
    clips["end_s"] = by_clip["end_s"].max().to_numpy()
    clips["text"] = by_clip["text"].agg(_joined).to_numpy()
    return Manifest(
        f"{windows.name}{ENDING}",
        clips,
        windows.labels,
        windows.protocol,
        notes=(*windows.notes, f"{len(windows)} windows as {len(clips)} videos: {POOLING}"),
        tags=dict(windows.tags),
    )


def _joined(texts: pd.Series) -> str:
    """Return the words of windows one behind the other; overlapping ones say some twice."""
    return " ".join(dict.fromkeys(filter(None, texts.tolist())))


def _pool(store: Path, manifest: Manifest, windows: Manifest, entry: Entry) -> None:
    settings = {**entry.settings, "windows": POOLING}
    ref = EncoderRef(
        entry.ref.name, fingerprint(settings), entry.ref.modality, entry.ref.layer, entry.ref.seed
    )
    path = store_path(store, manifest.name, ref, "any")
    if path.is_file() and _made_of(path) == entry.digest:
        return
    file = read_embeddings(entry.path)
    if not np.array_equal(file.ids, windows.ids):
        raise StoreMismatchError(
            f"{entry.path}: holds other rows than the corpus beside it; extract it again with "
            "--overwrite"
        )
    codes = pd.Index(manifest.ids).get_indexer(clips_of(windows))
    counts = np.bincount(codes[file.ok], minlength=len(manifest))
    seen = np.array([SEEN_ORDER.index(word) for word in file.seen.tolist()])
    worst = np.zeros(len(manifest), dtype=np.int64)
    np.maximum.at(worst, codes, seen)
    missing = counts == 0
    made = Embeddings(
        manifest.ids,
        _mean_and_deviation(file.vectors[file.ok], codes[file.ok], len(manifest)),
        np.array(SEEN_ORDER)[worst],
        np.where(missing, "missing", "ok"),
        np.where(missing, "no window has a vector", ""),
        ref,
    )
    attributes = {
        "corpus": manifest.name,
        "inputs_digest": manifest.inputs_digest_of(ref.modality),
        "seen_spec": file.attributes.get("seen_spec", ""),
        "weights_digest": file.attributes.get("weights_digest", ""),
        "settings": settings,
        "provenance": {**collect(), "pooled": entry.digest},
    }
    write_embeddings(path, made, attributes)


def _mean_and_deviation(
    vectors: NDArray[np.float32], codes: NDArray[np.intp], n_clips: int
) -> NDArray[np.float32]:
    """Return means and deviations side by side (G, 2 D), ``nan`` for a clip without vectors.

    Args:
        vectors: Of windows (n, D).
        codes: The clip of each (n,).
        n_clips: How many clips there are, G.

    >>> made = _mean_and_deviation(np.array([[1.0], [3.0]], np.float32), np.array([0, 0]), 2)
    >>> made.tolist()
    [[2.0, 1.0], [nan, nan]]
    """
    made = np.full((n_clips, 2 * vectors.shape[1]), np.nan, dtype=np.float32)
    order = np.argsort(codes, kind="stable")
    clips, starts = np.unique(codes[order], return_index=True)
    for clip, rows in zip(clips.tolist(), np.split(order, starts[1:]), strict=True):
        own = vectors[rows].astype(np.float64)
        made[clip] = np.concatenate([own.mean(axis=0), own.std(axis=0)])
    return made


def _made_of(path: Path) -> str:
    """Return the digest of the vectors that a pooled file was made of."""
    provenance = read_header(path).get("provenance", {})
    return str(provenance.get("pooled", "")) if isinstance(provenance, dict) else ""
