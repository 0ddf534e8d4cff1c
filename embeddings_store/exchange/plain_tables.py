"""Vectors with their labels as plain CSV or ARFF, for programs that know no store: R, Weka."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.arff_files import arff_text
from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError, UsageError
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.hdf5 import read_embeddings

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("speaker", "group", "session", "split")
PLAIN = (".arff", ".csv")


@dataclass(frozen=True, slots=True)
class PlainTable:
    """What was written.

    Attributes:
        rows: How many rows.
        cautions: What the table does not say and its reader should know, a sentence each.
    """

    rows: int
    cautions: tuple[str, ...]


def export_plain(source: Path, target: Path) -> PlainTable:
    """Write ``id``, speaker, group, session and split where known, ``v0 ... vD-1`` and ``label``.

    The label is the class, and the last column, where Weka looks for it. Rows without a vector are
    left out.

    Args:
        source: A file of the store; the corpus beside it gives the labels.
        target: ``.arff`` or ``.csv``.

    Raises:
        UsageError: The suffix is neither.
        StoreError: The file or its corpus cannot be read, or they do not belong together.
    """
    if target.suffix.lower() not in PLAIN:
        raise UsageError(f"{target}: a plain table is {' or '.join(PLAIN)}")
    file = read_embeddings(source)
    corpus = source.resolve().parents[2]
    manifest = Manifest.load(corpus) if (corpus / "corpus.json").is_file() else None
    table = _table(source, file, manifest)
    cautions = _cautions(source, file, manifest)
    nominal = {}
    if manifest is not None and manifest.labels is not None:
        nominal["label"] = manifest.labels.classes
    with replacing(target) as temporary:
        if target.suffix.lower() == ".arff":
            name = manifest.name if manifest else source.stem
            temporary.write_text(arff_text(name, table, nominal), encoding="utf-8")
        else:
            table.to_csv(temporary, index=False)
    return PlainTable(len(table), cautions)


def _table(source: Path, file: Embeddings, manifest: Manifest | None) -> pd.DataFrame:
    import pandas as pd

    ok = file.ok
    columns: dict[str, object] = {"id": file.ids[ok]}
    width = file.vectors.shape[1]
    vectors = pd.DataFrame(file.vectors[ok], columns=[f"v{i}" for i in range(width)])
    if manifest is None:
        return pd.concat([pd.DataFrame(columns), vectors], axis=1)
    if not np.array_equal(manifest.ids, file.ids):
        raise StoreMismatchError(
            f"{source}: has other ids than the corpus beside it; extract or import it again"
        )
    for name in ABOUT:
        if manifest.has(name):
            columns[name] = manifest.column(name)[ok]
    parts = [pd.DataFrame(columns), vectors]
    if manifest.labels is not None:
        parts.append(pd.DataFrame({"label": _classes(manifest)[ok]}))
    return pd.concat(parts, axis=1)


def _classes(manifest: Manifest) -> NDArray[np.str_]:
    """Return the class of each row (N,), empty where it has none."""
    classes = manifest.labels.classes if manifest.labels else ()
    return np.array([*classes, ""])[manifest.codes()]


def _cautions(source: Path, file: Embeddings, manifest: Manifest | None) -> tuple[str, ...]:
    cautions = []
    missing = int((~file.ok).sum())
    if missing:
        cautions.append(f"{missing} of {len(file.ids)} rows have no vector and are left out")
    if manifest is None:
        cautions.append(f"there is no corpus beside {source}, so the table has no labels")
    seen = int((file.seen[file.ok] != "no").sum())
    if seen:
        cautions.append(
            f"the encoder has seen {seen} of these rows in training, or nobody can say; the table "
            "does not say which, and no result on them is one"
        )
    return tuple(cautions)
