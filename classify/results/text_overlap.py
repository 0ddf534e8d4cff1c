"""``subsets.csv``: every cell on the test rows that training could not have given away, beside a look-up of transcripts.

Scripted corpora repeat their lines in every session, so a test row's very transcript may stand in
training with its label. One row per cell and subset: ``n`` test rows over all folds, and ``WA`` and
``UAR`` as means over the folds that have such rows (shares, not per cent). To add a subset, add a
row to :data:`SUBSETS`.

================  ==========================================================================================================
subset            test rows
================  ==========================================================================================================
``all``           all of them
``text-seen``     those whose normalised transcript occurs among the rows that the fold's classifiers are fitted on
``text-unseen``   those that have a transcript which does not
``improvised``    those of improvised dialogues, where the corpus says which these are
================  ==========================================================================================================

The look-up answers a test row with the commonest class of the training rows of the same transcript,
and any other row with the commonest class of training; ties go to the first class of the label
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classify.evaluation.metrics import summary
from classify.names import BASELINE
from classify.results.files import write_csv
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.transcripts import normalised

SUBSETS_FILE = "subsets.csv"
LOOK_UP = f"{BASELINE} transcript look-up"
ALL, SEEN, UNSEEN, IMPROVISED = "all", "text-seen", "text-unseen", "improvised"
ABOUT = ("claim", "corpus", "protocol", "split_digest", "label_set", "labels_shuffled", "fit_rows")

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoldRows:
    """The rows of one fold that are compared: what is fitted on, and what is tested.

    Attributes:
        fitted: Manifest positions of the rows that classifiers are fitted on (n,).
        fitted_y: Their class codes (n,).
        tested: Manifest positions of test rows (m,).
        tested_y: Their class codes (m,).
    """

    fitted: Codes
    fitted_y: Codes
    tested: Codes
    tested_y: Codes


def _all(manifest: Manifest, seen: Mask, said: Mask) -> Mask | None:
    return np.ones(len(manifest), dtype=bool)


def _seen(manifest: Manifest, seen: Mask, said: Mask) -> Mask | None:
    return seen if said.any() else None


def _unseen(manifest: Manifest, seen: Mask, said: Mask) -> Mask | None:
    return said & ~seen if said.any() else None


def _improvised(manifest: Manifest, seen: Mask, said: Mask) -> Mask | None:
    return (
        np.asarray(manifest.column("meta_kind") == "improvised")
        if "meta_kind" in manifest.table
        else None
    )


# Each gets the corpus, which rows (N,) have a transcript that the fold's training has, and which
# have one at all; it returns its rows (N,), or none where the corpus cannot say.
SUBSETS: Mapping[str, Callable[[Manifest, Mask, Mask], Mask | None]] = {
    ALL: _all,
    SEEN: _seen,
    UNSEEN: _unseen,
    IMPROVISED: _improvised,
}


def write_subsets(
    out: Path, manifest: Manifest, fit_roles: Sequence[str], about: Mapping[str, object]
) -> list[Path]:
    """Write ``subsets.csv`` into a results folder.

    Nothing, where the corpus has neither transcripts nor kinds of dialogue.

    Args:
        out: The folder, with ``predictions.parquet``.
        manifest: The corpus.
        fit_roles: Which roles classifiers are fitted on.
        about: The columns of :data:`ABOUT`.
    """
    path = out / SUBSETS_FILE
    if not manifest.has("text") and "meta_kind" not in manifest.table:
        path.unlink(missing_ok=True)
        return []
    table = subsets_table(out / "predictions.parquet", manifest, fit_roles)
    for position, name in enumerate(ABOUT):
        table.insert(position, name, about.get(name, ""))
    write_csv(path, table)
    return [path]


def subsets_table(predictions: Path, manifest: Manifest, fit_roles: Sequence[str]) -> pd.DataFrame:
    """Return one row per cell and subset, the look-up last.

    ``cell, subset, n, folds, WA, WA_sd, UAR, UAR_sd``.
    """
    places = {name: place for place, name in enumerate(manifest.ids.tolist())}
    classes = _classes(predictions)
    codes = {name: code for code, name in enumerate(classes)}
    compared = _compared(predictions, places, codes, fit_roles)
    texts, _ = pd.factorize(normalised(manifest.column("text")))
    said = normalised(manifest.column("text")) != ""
    masks = {fold: _masks(manifest, rows, texts, said) for fold, rows in compared.items()}
    figures = [
        line for part in _parts(predictions) for line in _figures(part, places, codes, masks)
    ]
    for fold, rows in compared.items():
        found = look_up(rows, texts, said, len(classes))
        figures += _of_subsets(LOOK_UP, fold, rows.tested, rows.tested_y, found, masks[fold])
    lines = pd.DataFrame(figures, columns=["cell", "subset", "fold", "n", "WA", "UAR"])
    table = lines.groupby(["cell", "subset"], sort=False).agg(
        n=("n", "sum"),
        folds=("WA", "count"),
        WA=("WA", "mean"),
        WA_sd=("WA", "std"),
        UAR=("UAR", "mean"),
        UAR_sd=("UAR", "std"),
    )
    return table.reset_index()


def look_up(rows: FoldRows, texts: Codes, said: Mask, n_classes: int) -> Codes:
    """Answer test rows (m,) by the commonest class of the same transcript in training, else of all training.

    >>> rows = FoldRows(np.array([0, 1, 2]), np.array([1, 1, 0]), np.array([3, 4]), np.array([0, 0]))
    >>> look_up(rows, np.array([7, 8, 5, 5, 6]), np.ones(5, dtype=bool), 2).tolist()
    [0, 1]
    """
    counts = np.zeros((int(texts.max(initial=0)) + 1, n_classes), dtype=np.int64)
    np.add.at(counts, (texts[rows.fitted], rows.fitted_y), said[rows.fitted].astype(np.int64))
    commonest = int(np.bincount(rows.fitted_y, minlength=n_classes).argmax())
    known = said[rows.tested] & (counts[texts[rows.tested]].sum(axis=1) > 0)
    return np.where(known, counts[texts[rows.tested]].argmax(axis=1), commonest)


def _masks(manifest: Manifest, rows: FoldRows, texts: Codes, said: Mask) -> dict[str, Mask]:
    seen = said & np.isin(texts, texts[rows.fitted[said[rows.fitted]]])
    found = {name: subset(manifest, seen, said) for name, subset in SUBSETS.items()}
    return {name: mask for name, mask in found.items() if mask is not None}


def _classes(predictions: Path) -> list[str]:
    return [
        c.removeprefix("score:")
        for c in pq.read_schema(predictions).names
        if c.startswith("score:")
    ]


def _parts(predictions: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of one cell and fold after the other.

    Several seeds of one cell and fold stay together.
    """
    wanted = ["id", "fold", "role", "cell", "family", "y_true", "y_pred"]
    held: list[pd.DataFrame] = []
    with pq.ParquetFile(predictions) as file:
        plain = _plain(file.schema_arrow, wanted)
        for group in range(file.num_row_groups):
            part = file.read_row_group(group, columns=wanted).cast(plain).to_pandas()
            if part.empty:
                continue
            if held and (held[0][["cell", "fold"]].iloc[0] != part[["cell", "fold"]].iloc[0]).any():
                yield pd.concat(held)
                held = []
            held.append(part)
    if held:
        yield pd.concat(held)


def _plain(schema: pa.Schema, names: list[str]) -> pa.Schema:
    """The schema with words instead of dictionaries."""
    fields = [schema.field(name) for name in names]
    return pa.schema(
        [
            pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
            for f in fields
        ]
    )


def _compared(
    predictions: Path, places: Mapping[str, int], codes: Mapping[str, int], fit_roles: Sequence[str]
) -> dict[int, FoldRows]:
    """Return the rows that baselines are compared on, by fold."""
    found: dict[int, FoldRows] = {}
    for part in _parts(predictions):
        if part["family"].iloc[0] != BASELINE or part["fold"].iloc[0] in found:
            continue
        part = part.drop_duplicates("id")
        place, y = (
            part["id"].map(places).to_numpy(dtype=np.int64),
            part["y_true"].map(codes).to_numpy(dtype=np.int64),
        )
        fitted, tested = (
            part["role"].isin(list(fit_roles)).to_numpy(),
            (part["role"] == "test").to_numpy(),
        )
        found[int(part["fold"].iloc[0])] = FoldRows(
            place[fitted], y[fitted], place[tested], y[tested]
        )
    return found


def _figures(
    part: pd.DataFrame,
    places: Mapping[str, int],
    codes: Mapping[str, int],
    masks: Mapping[int, Mapping[str, Mask]],
) -> list[tuple[object, ...]]:
    part = part[part["role"] == "test"]
    if part.empty:
        return []
    place, y_true, y_pred = (
        part[name].map(table).to_numpy(dtype=np.int64)
        for name, table in (("id", places), ("y_true", codes), ("y_pred", codes))
    )
    fold = int(part["fold"].iloc[0])
    return _of_subsets(str(part["cell"].iloc[0]), fold, place, y_true, y_pred, masks[fold])


def _of_subsets(
    cell: str, fold: int, place: Codes, y_true: Codes, y_pred: Codes, masks: Mapping[str, Mask]
) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    for name, mask in masks.items():
        rows = mask[place]
        figures = (
            summary(y_true[rows], y_pred[rows]) if rows.any() else {"WA": np.nan, "UAR": np.nan}
        )
        lines.append((cell, name, fold, len(np.unique(place[rows])), figures["WA"], figures["UAR"]))
    return lines
