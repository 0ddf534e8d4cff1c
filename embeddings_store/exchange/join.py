"""Several corpora of one store as one, for training on some and testing on another.

Rows, label set and vectors side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.label_sets import named_labels
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LabelError, LeakError, StoreMismatchError, UsageError
from embeddings_store.provenance import collect
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.hdf5 import read_embeddings, store_path, write_embeddings

MEDIA_PATHS = ("audio", "video")
MARKED = ("speaker", "group", "session")
DUPLICATES_REFUSED = (
    "audio",
    "video",
)  # Two people may say the same words, but a recording belongs to one corpus.


@dataclass(frozen=True, slots=True)
class Joined:
    """What was joined.

    Attributes:
        manifest: The joined corpus.
        files: Its files of vectors.
        left_out: Encoders that some of the corpora lack.
    """

    manifest: Manifest
    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def join_corpora(
    store: Path, corpora: Sequence[str], name: str = "", label_set: str = "common-4"
) -> Joined:
    """Put several corpora below each other, with the vectors that one frozen encoder made of each.

    Ids, speakers, groups and sessions get the corpus' name in front, so that nothing of two corpora
    is taken for one; the column ``meta_corpus`` says where a row is from. A row's label is its
    class in its own corpus, and the label set maps those.

    Args:
        store: The store's folder.
        corpora: Two or more of its corpora; the last is the one that is tested by default.
        name: The joined corpus' name; empty makes ``joined-A-B``.
        label_set: A name in :mod:`embeddings_store.corpus.label_sets` that all of them know.

    Raises:
        UsageError: Fewer than two corpora, or no encoder that all of them have.
        LabelError: A corpus has a class that the set does not know, or lacks one of its classes.
        LeakError: The same recording is in two of them.
        StoreMismatchError: The store holds another corpus of this name.
    """
    if len(set(corpora)) != len(corpora) or len(corpora) < 2:
        raise UsageError(
            f"a joined corpus takes two or more different ones, not {' '.join(corpora) or 'none'}"
        )
    entries = {corpus: _frozen(catalogue(store, corpus)) for corpus in corpora}
    manifests = {corpus: Manifest.load(store / corpus) for corpus in corpora}
    shared = list(entries[corpora[0]])
    for corpus in corpora[1:]:
        shared = [ref for ref in shared if ref in entries[corpus]]
    not_in_all: set[str] = set()
    for there in entries.values():
        not_in_all |= {f"{ref.modality}={ref.folder}" for ref in there if ref not in shared}
    left_out = tuple(sorted(not_in_all))
    if not shared:
        raise UsageError(
            f"{', '.join(corpora)} have no frozen encoder in common, so no vectors of theirs can "
            "be compared; run extract-features --frozen with the same --encoder and options on "
            "each, or import the vectors of one encoder under one name with --encoder. There is "
            f"{', '.join(left_out)}"
        )
    manifest = _rows(manifests, name or "-".join(("joined", *corpora)), label_set)
    parts = {}
    for ref in shared:
        files = [read_embeddings(entries[corpus][ref].path) for corpus in corpora]
        _refuse_duplicates(ref, dict(zip(corpora, files, strict=True)))
        parts[ref] = files
    manifest.enter(store)
    return Joined(
        manifest,
        tuple(_write(store, manifest, ref, files) for ref, files in parts.items()),
        left_out,
    )


def _frozen(entries: Sequence[Entry]) -> dict[EncoderRef, Entry]:
    return {entry.ref: entry for entry in entries if entry.fold == "any"}


def _rows(manifests: Mapping[str, Manifest], name: str, label_set: str) -> Manifest:
    import pandas as pd

    tables = []
    for corpus, manifest in manifests.items():
        table = manifest.table[[c for c in manifest.table if not str(c).startswith("meta_")]].copy()
        if manifest.labels is None:
            raise LabelError(
                f"corpus {corpus!r} has no labels, so it can neither train nor be tested"
            )
        table["label"] = np.append(np.array(manifest.labels.classes, dtype=object), "")[
            manifest.codes()
        ]
        named_labels(
            label_set, Manifest.from_columns(corpus, {"id": table["id"], "label": table["label"]})
        )
        table["id"] = f"{corpus}:" + table["id"]
        for column in MARKED:
            table[column] = np.where(table[column] != "", f"{corpus}:" + table[column], "")
        for column in MEDIA_PATHS:
            table[column] = np.where(table[column] != "", f"{corpus}/" + table[column], "")
        tables.append(table.assign(split="", meta_corpus=corpus))
    table = pd.concat(tables, ignore_index=True)
    joined = Manifest.from_columns(
        name, {str(c): table[c] for c in table}, tags={"meta_corpus": "safe"}
    )
    last = list(manifests)[-1]
    return Manifest.from_columns(
        name,
        {str(c): table[c] for c in table},
        labels=named_labels(label_set, joined).labels,
        tags={"meta_corpus": "safe"},
        protocol="leave-one-corpus-out" if len(manifests) > 2 else f"corpus-holdout:{last}",
        notes=tuple(f"{len(m)} rows of {corpus}" for corpus, m in manifests.items()),
    )


def _refuse_duplicates(ref: EncoderRef, files: Mapping[str, Embeddings]) -> None:
    """Refuse a recording that is in two corpora.

    A model would be tested on what it was trained on, under another name.
    """
    if ref.modality not in DUPLICATES_REFUSED:
        return
    known: dict[str, str] = {}
    recorded = all(
        file.inputs is not None for file in files.values()
    )  # a digest and a vector are never equal
    for corpus, file in files.items():
        keys = _keys(file, recorded)
        duplicates = [(key, i) for i, key in enumerate(keys) if key in known]
        if duplicates:
            key, row = duplicates[0]
            raise LeakError(
                f"refused: {len(duplicates)} of {len(file.ids)} rows of {corpus!r} are the same "
                f"{ref.modality} as rows of other corpora, first {str(file.ids[row])!r} and "
                f"{known[key]!r}; a model would be tested on what it was trained on. Leave one of "
                "these corpora out"
            )
        known |= {
            key: f"{corpus}:{name}"
            for key, name in zip(keys, file.ids.tolist(), strict=True)
            if key
        }


def _keys(file: Embeddings, recorded: bool) -> list[str]:
    """Return what tells the input of each row (n,): the recorded digest, else the vector itself.

    Empty where there is none.
    """
    if recorded and file.inputs is not None:
        return [str(key) for key in file.inputs.tolist()]
    return [
        vector.tobytes().hex() if ok else ""
        for vector, ok in zip(file.vectors, file.ok, strict=True)
    ]


def _write(store: Path, manifest: Manifest, ref: EncoderRef, files: Sequence[Embeddings]) -> Path:
    first = files[0]
    if len({file.vectors.shape[1] for file in files}) > 1:
        raise StoreMismatchError(
            f"{ref.folder}: the corpora have vectors of different width; extract again with "
            "--overwrite"
        )
    inputs = [file.inputs for file in files]
    made = Embeddings(
        manifest.ids,
        np.concatenate([file.vectors for file in files]),
        _stacked([file.seen for file in files]),
        _stacked([file.status for file in files]),
        _stacked([file.reason for file in files]),
        ref,
        inputs=None
        if any(column is None for column in inputs)
        else _stacked([c for c in inputs if c is not None]),
    )
    path = store_path(store, manifest.name, ref, "any")
    write_embeddings(
        path,
        made,
        {
            "corpus": manifest.name,
            "inputs_digest": manifest.inputs_digest_of(ref.modality),
            "seen_spec": "joined",
            "weights_digest": first.attributes.get("weights_digest", ""),
            "settings": first.attributes.get("settings", {}),
            "provenance": {
                **collect(),
                "joined": [str(file.attributes.get("digest", "")) for file in files],
                "sources": [_source(file) for file in files],
            },
        },
    )
    return path


def _source(file: Embeddings) -> dict[str, str]:
    """Return the imported file's name and digest; nothing for vectors that were extracted."""
    provenance = file.attributes.get("provenance", {})
    known = provenance if isinstance(provenance, Mapping) else {}
    return {key: str(known[key]) for key in ("source", "source_digest") if key in known}


def _stacked(columns: Sequence[NDArray[np.str_]]) -> NDArray[np.str_]:
    return np.concatenate(list(columns))
