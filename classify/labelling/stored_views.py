"""The vectors that a bundle's system takes, found in a store by the encoders that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.bundle.bundle import Bundle, BundleEncoder
from classify.models.class_scores import ClassScores
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError, StoreNotFoundError, UsageError
from embeddings_store.provenance import changed_settings
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.hdf5 import read_embeddings


@dataclass(frozen=True, slots=True)
class StoredViews:
    """What a store holds of a bundle's views, rows in the order of the corpus.

    Attributes:
        vectors: View to (N, D); ``nan`` where it is missing.
        present: View to which rows have it (N,).
        inputs: View to what the store calls the inputs' digests (N,), empty where nothing is
            known.
        reasons: View to why each row lacks it (N,), or a caution.
        seen: Rows (N,) that one of the encoders was fitted on, or chosen by.
    """

    vectors: Mapping[str, NDArray[np.float32]]
    present: Mapping[str, NDArray[np.bool_]]
    inputs: Mapping[str, Sequence[str]]
    reasons: Mapping[str, Sequence[str]]
    seen: NDArray[np.bool_]

    def answer(self, bundle: Bundle) -> ClassScores:
        """Return the system's class scores (N, C); rows without any view have all alike."""
        return bundle.system.answer(self.vectors, self.present)


def load_views(
    bundle: Bundle, store: Path, manifest: Manifest, absent: Sequence[str] = ()
) -> StoredViews:
    """Read the vectors of every view of a bundle.

    Args:
        bundle: The bundle.
        store: The store's folder.
        manifest: The corpus there.
        absent: Views of which nothing could be made, and which every row lacks.

    Raises:
        StoreNotFoundError: The store lacks the vectors of a view.
        UsageError: So it does, and the encoder is one that lies in the bundle.
        StoreMismatchError: They are of another width or other rows.
    """
    there = [view.view for view in bundle.encoders if view.view not in absent]
    entries = catalogue(store, manifest.name) if there else []
    n = len(manifest)
    vectors, present, inputs, reasons = {}, {}, {}, {}
    seen = np.zeros(n, dtype=bool)
    for encoder in bundle.encoders:
        view = encoder.view
        if view in absent:
            vectors[view] = np.full((n, encoder.width), np.nan, dtype=np.float32)
            present[view], inputs[view] = np.zeros(n, dtype=bool), [""] * n
            reasons[view] = ["none that could be read"] * n
            continue
        file = _read(encoder, entries, manifest)
        vectors[view], present[view] = file.vectors, file.ok
        inputs[view] = [""] * n if file.inputs is None else file.inputs.tolist()
        reasons[view] = file.reason.tolist()
        seen |= file.ok & np.isin(file.seen, ("fit", "select"))
    return StoredViews(vectors, present, inputs, reasons, seen)


def _read(encoder: BundleEncoder, entries: Sequence[Entry], manifest: Manifest) -> Embeddings:
    wanted = encoder.ref
    of_modality = [entry for entry in entries if entry.ref.modality == wanted.modality]
    for entry in of_modality:
        # not by the name: a folder may be called otherwise here, and the fingerprint is over all
        # that changes a vector
        same = (entry.ref.fingerprint, entry.ref.layer) == (wanted.fingerprint, wanted.layer)
        if entry.fold == "any" and same:
            return _checked(encoder, read_embeddings(entry.path), entry.path, manifest)
    if encoder.files:
        raise UsageError(
            f"the model brings its own {wanted.modality} encoder, and vectors by it are made by "
            "predict-emotions alone as yet; label the corpus' files with that"
        )
    other = next((entry for entry in of_modality if entry.fold == "any"), None)
    differs = ""
    if other is not None:
        changes = changed_settings(other.settings, encoder.settings)
        differs = f"; {other.ref.folder} is there, and differs: {'; '.join(changes[:5])}"
    layer = f" --layer {wanted.layer}" if wanted.layer >= 0 else ""
    raise StoreNotFoundError(
        f"corpus {manifest.name!r} has no {wanted.modality} vectors by {wanted.folder}, which the "
        f"model takes{differs}; make them with extract-features --modality {wanted.modality} "
        f"--encoder {encoder.source or wanted.name} --frozen{layer} and the settings that "
        "inspect-model shows"
    )


def _checked(
    encoder: BundleEncoder, file: Embeddings, path: Path, manifest: Manifest
) -> Embeddings:
    digest = file.attributes.get("inputs_digest")
    same_rows = np.array_equal(file.ids, manifest.ids)
    if digest != manifest.inputs_digest_of(encoder.ref.modality) or not same_rows:
        raise StoreMismatchError(
            f"{path}: was made from other inputs than the corpus beside it; extract it again with "
            "--overwrite"
        )
    if file.vectors.shape[1] != encoder.width:
        raise StoreMismatchError(
            f"{path}: has vectors of {file.vectors.shape[1]} columns, and the model takes "
            f"{encoder.width}"
        )
    return file
