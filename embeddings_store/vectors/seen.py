"""What an encoder knows of each row.

Nothing, its label from training, its label from model selection, or nobody can say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.columns import SPLIT_ROLES
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from embeddings_store.reading import is_file
from embeddings_store.tables import read_table
from embeddings_store.vectors.arrays import SEEN

SPEC_HELP = (
    "none: it never saw a row of this corpus; split:NAME: it was fitted on the rows of that split "
    "(several: split:train,dev); FILE: a CSV with columns id,seen (no, fit, select or unknown) or "
    "only id (those were fitted on); unknown: nobody can say, and every result is stamped "
    "unverified"
)


def parse_seen(spec: str, manifest: Manifest) -> NDArray[np.str_]:
    """Turn ``none | split:NAME[,NAME] | FILE | unknown`` into one word per row (N,).

    >>> columns = {"id": ["a", "b"], "text": ["x", "y"], "split": ["train", "test"]}
    >>> m = Manifest.from_columns("m", columns)
    >>> parse_seen("split:train", m).tolist()
    ['fit', 'no']

    Raises:
        UsageError: The word is none of these, or the split does not occur.
        ManifestError: The file's ids or words do not fit.
    """
    n = len(manifest)
    if spec in {"none", "unknown"}:
        return np.full(n, "no" if spec == "none" else "unknown")
    if spec.startswith("split:"):
        return _from_splits(
            [name.strip() for name in spec.removeprefix("split:").split(",")], manifest
        )
    if not is_file(Path(spec)):
        raise UsageError(
            f"--seen {spec!r} is neither none, unknown, split:NAME, nor a file. {SPEC_HELP}"
        )
    return _from_file(Path(spec), manifest)


def _from_splits(names: list[str], manifest: Manifest) -> NDArray[np.str_]:
    splits = manifest.column("split")
    known = sorted(set(splits.tolist()) - {""})
    if not known:
        raise UsageError(
            f"--seen split:{names[0]} needs a column 'split', and corpus {manifest.name!r} has none"
        )
    canonical = {name: SPLIT_ROLES.get(name.lower(), name) for name in known}
    fitted: set[str] = set()
    for name in names:
        wanted = SPLIT_ROLES.get(name.lower(), name)
        matches = {k for k in known if k == name or canonical[k] == wanted}
        if not matches:
            unknown_name("split", name, known)
        fitted |= matches
    return np.where(np.isin(splits, sorted(fitted)), "fit", "no")


def _from_file(path: Path, manifest: Manifest) -> NDArray[np.str_]:
    table = read_table(path)
    if "id" not in table:
        raise ManifestError(
            f"{path}: needs a column 'id' and usually 'seen'; got "
            f"{', '.join(map(str, table.columns))}"
        )
    ids = table["id"].astype(str)
    twice = ids[ids.duplicated()]
    if len(twice):
        raise ManifestError(
            f"{path}: id {twice.iloc[0]!r} is there more than once; say once what the encoder "
            "knows of a row"
        )
    words = (
        table["seen"].fillna("").astype(str).tolist() if "seen" in table else ["fit"] * len(table)
    )
    strange = sorted(set(words) - set(SEEN))
    if strange:
        unknown_name("word in column 'seen'", strange[0], SEEN)
    word_of = dict(zip(ids.tolist(), words, strict=True))
    absent = sorted(word_of.keys() - set(manifest.ids.tolist()))
    if absent:
        raise ManifestError(
            f"{path}: {len(absent)} of {len(word_of)} ids are not in corpus {manifest.name!r}, "
            f"first {absent[0]!r}; write the ids as the corpus has them"
        )
    rest = "no" if "seen" not in table else "unknown"
    return np.array([word_of.get(i, rest) for i in manifest.ids.tolist()])
