"""``subsets.csv``: every cell on the test rows whose transcripts training does not have.

A look-up of transcripts stands beside them. Scripted corpora repeat their lines in every session,
so a test row's very transcript may stand in training with its label. One row per cell and subset:
``n`` test rows over all folds, and ``WA`` and ``UAR`` as means over the folds that have such rows
(shares, not per cent). To add a subset, add a row to :data:`SUBSETS`.

===============  ================================================================================
subset           test rows
===============  ================================================================================
``all``          all of them
``text-seen``    those whose normalised transcript occurs among the rows that the fold's
                 classifiers are fitted on
``text-unseen``  those that have a transcript which does not
``improvised``   those of improvised dialogues, where the corpus says which these are
===============  ================================================================================

The look-up answers a test row with the commonest class of the training rows of the same transcript,
and any other row with the commonest class of training; ties go to the first class of the label
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from classify.claim import Claim
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
class ComparedRows:
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


@dataclass(frozen=True, slots=True)
class CorpusTexts:
    """A corpus and its transcripts, as one fold sees them.

    Attributes:
        manifest: The corpus, N rows.
        filled: Which rows have a transcript at all (N,).
        seen: Which rows have one that the fold is fitted on as well (N,).
    """

    manifest: Manifest
    filled: Mask
    seen: Mask


def _all(texts: CorpusTexts) -> Mask | None:
    return np.ones(len(texts.manifest), dtype=bool)


def _seen(texts: CorpusTexts) -> Mask | None:
    return texts.seen if texts.filled.any() else None


def _unseen(texts: CorpusTexts) -> Mask | None:
    return texts.filled & ~texts.seen if texts.filled.any() else None


def _improvised(texts: CorpusTexts) -> Mask | None:
    if "meta_kind" not in texts.manifest.table:
        return None
    return np.asarray(texts.manifest.column("meta_kind") == "improvised")


# Each returns its rows of the corpus (N,), or none where the corpus cannot say.
SUBSETS: Mapping[str, Callable[[CorpusTexts], Mask | None]] = {
    ALL: _all,
    SEEN: _seen,
    UNSEEN: _unseen,
    IMPROVISED: _improvised,
}


def write_subsets(
    out: Path,
    parts: Sequence[pa.Table],
    manifest: Manifest,
    fit_roles: Sequence[str],
    about: Mapping[str, object],
) -> list[Path]:
    """Write ``subsets.csv`` into a results folder.

    Nothing, where the corpus has neither transcripts nor kinds of dialogue.

    Args:
        out: The folder.
        parts: Predictions as for :func:`subsets_table`.
        manifest: The corpus.
        fit_roles: Which roles classifiers are fitted on.
        about: The columns of :data:`ABOUT`.
    """
    path = out / SUBSETS_FILE
    if not manifest.has("text") and "meta_kind" not in manifest.table:
        path.unlink(missing_ok=True)
        return []
    table = subsets_table(parts, manifest, fit_roles)
    for position, name in enumerate(ABOUT):
        table.insert(position, name, about.get(name, ""))
    write_csv(path, table, Claim.read(str(about.get("claim", ""))))
    return [path]


def subsets_table(
    parts: Sequence[pa.Table], manifest: Manifest, fit_roles: Sequence[str]
) -> pd.DataFrame:
    """Return one row per cell and subset, the look-up last.

    The columns are ``cell, subset, n, folds, WA, WA_sd, UAR, UAR_sd``.

    Args:
        parts: The predictions of one cell, fold and seed after the other; of baselines the rows of
            every role, of other cells at least the test rows.
        manifest: The corpus.
        fit_roles: Which roles classifiers are fitted on.
    """
    coding = _Coding.of(manifest, parts)
    compared = _compared_rows(coding, parts, fit_roles)
    texts, _ = pd.factorize(normalised(manifest.column("text")))
    filled = normalised(manifest.column("text")) != ""
    masks = {}
    for fold, rows in compared.items():
        seen = filled & np.isin(texts, texts[rows.fitted[filled[rows.fitted]]])
        masks[fold] = _masks(CorpusTexts(manifest, filled, seen))

    lines: list[tuple[object, ...]] = []
    for answered in coding.cells(parts):
        tested = answered.of_roles(("test",))
        if len(tested.place):
            codes = tested.place, tested.y_true, tested.y_pred
            lines += _figures(tested.cell, tested.fold, masks[tested.fold], *codes)
    for fold, rows in compared.items():
        found = look_up(rows, texts, filled, len(coding.classes))
        lines += _figures(LOOK_UP, fold, masks[fold], rows.tested, rows.tested_y, found)

    by_fold = pd.DataFrame(lines, columns=["cell", "subset", "fold", "n", "WA", "UAR"])
    table = by_fold.groupby(["cell", "subset"], sort=False).agg(
        n=("n", "sum"),
        folds=("WA", "count"),
        WA=("WA", "mean"),
        WA_sd=("WA", "std"),
        UAR=("UAR", "mean"),
        UAR_sd=("UAR", "std"),
    )
    return table.reset_index()


def look_up(rows: ComparedRows, texts: Codes, filled: Mask, n_classes: int) -> Codes:
    """Answer test rows (m,) by the commonest class of the same transcript in training.

    Rows whose transcript training does not have get the commonest class of all training.

    Args:
        rows: The rows of one fold.
        texts: A code for every row's transcript (N,), equal where transcripts are.
        filled: Which rows have a transcript at all (N,).
        n_classes: How many classes there are.

    >>> rows = ComparedRows(
    ...     np.array([0, 1, 2]), np.array([1, 1, 0]), np.array([3, 4]), np.array([0, 0])
    ... )
    >>> look_up(rows, np.array([7, 8, 5, 5, 6]), np.ones(5, dtype=bool), 2).tolist()
    [0, 1]
    """
    counts = np.zeros((int(texts.max(initial=0)) + 1, n_classes), dtype=np.int64)
    np.add.at(counts, (texts[rows.fitted], rows.fitted_y), filled[rows.fitted].astype(np.int64))
    commonest = int(np.bincount(rows.fitted_y, minlength=n_classes).argmax())
    of_text = counts[texts[rows.tested]]
    known = filled[rows.tested] & (of_text.sum(axis=1) > 0)
    return np.where(known, of_text.argmax(axis=1), commonest)


@dataclass(frozen=True, slots=True)
class _Answered:
    """The rows of one cell and fold, all seeds of it together.

    Attributes:
        cell: Its name.
        fold: The fold's number.
        role: What each row was (n,).
        place: Where each row stands in the manifest (n,).
        y_true: Class codes (n,).
        y_pred: Class codes (n,).
    """

    cell: str
    fold: int
    role: NDArray[np.str_]
    place: Codes
    y_true: Codes
    y_pred: Codes

    def of_roles(self, roles: Sequence[str]) -> _Answered:
        """Return the rows of some roles."""
        rows = np.isin(self.role, list(roles))
        each = self.role[rows], self.place[rows], self.y_true[rows], self.y_pred[rows]
        return _Answered(self.cell, self.fold, *each)


@dataclass(frozen=True, slots=True)
class _Coding:
    """Codes for the words of predictions: ids by their place in the manifest, labels by class."""

    ids: pa.Array
    classes: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest, parts: Sequence[pa.Table]) -> _Coding:
        scores = [name for name in parts[0].column_names if name.startswith("score:")]
        classes = {name.removeprefix("score:"): code for code, name in enumerate(scores)}
        return cls(pa.array(manifest.ids.tolist(), pa.string()), classes)

    def cells(self, parts: Iterable[pa.Table]) -> Iterator[_Answered]:
        """Yield the rows of one cell and fold after the other, all seeds of it together."""
        filled = (part for part in parts if part.num_rows)
        seen: dict[int, tuple[pa.Array, Codes]] = {}
        for (cell, fold), seeds in groupby(filled, key=_cell_and_fold):
            rows = []
            for part in seeds:
                ids = part["id"].combine_chunks()
                # most cells of a fold answer the same rows
                if fold not in seen or not ids.equals(seen[fold][0]):
                    places = pc.index_in(ids, value_set=self.ids)
                    seen[fold] = ids, places.to_numpy().astype(np.int64)
                rows.append(self._rows(part, seen[fold][1]))
            yield _Answered(cell, fold, *map(np.concatenate, zip(*rows, strict=True)))

    def _rows(self, part: pa.Table, place: Codes) -> tuple[NDArray[np.str_], Codes, Codes, Codes]:
        """Return role, place, truth and answer of every row (n,)."""
        roles, role = _words_of(part, "role")
        found = []
        for name in ("y_true", "y_pred"):
            words, codes = _words_of(part, name)
            found.append(np.array([self.classes[word] for word in words], dtype=np.int64)[codes])
        y_true, y_pred = found
        return np.array(roles, dtype=np.str_)[role], place, y_true, y_pred


def _words_of(part: pa.Table, column: str) -> tuple[list[str], Codes]:
    """Return the different words of a column, and which of them stands in each row (n,)."""
    words = part[column].combine_chunks()
    if not pa.types.is_dictionary(words.type):
        words = words.dictionary_encode()
    return words.dictionary.to_pylist(), words.indices.to_numpy().astype(np.int64)


def _cell_and_fold(part: pa.Table) -> tuple[str, int]:
    return part["cell"][0].as_py(), part["fold"][0].as_py()


def _compared_rows(
    coding: _Coding, parts: Sequence[pa.Table], fit_roles: Sequence[str]
) -> dict[int, ComparedRows]:
    """Return the rows that baselines are compared on, by fold."""
    of_baselines = [p for p in parts if p.num_rows and p["family"][0].as_py() == BASELINE]
    found: dict[int, ComparedRows] = {}
    for rows in coding.cells(of_baselines):
        if rows.fold in found:
            continue
        # several seeds answer each row again
        once = np.sort(np.unique(rows.place, return_index=True)[1])
        each = rows.role[once], rows.place[once], rows.y_true[once], rows.y_pred[once]
        first = _Answered(rows.cell, rows.fold, *each)
        fitted, tested = first.of_roles(fit_roles), first.of_roles(("test",))
        found[rows.fold] = ComparedRows(fitted.place, fitted.y_true, tested.place, tested.y_true)
    return found


def _masks(texts: CorpusTexts) -> dict[str, Mask]:
    """Return the rows (N,) of every subset that the corpus knows of."""
    found = {name: subset(texts) for name, subset in SUBSETS.items()}
    return {name: mask for name, mask in found.items() if mask is not None}


def _figures(
    cell: str, fold: int, masks: Mapping[str, Mask], place: Codes, y_true: Codes, y_pred: Codes
) -> list[tuple[object, ...]]:
    """Return cell, subset, fold, number of utterances, WA and UAR of every subset."""
    lines: list[tuple[object, ...]] = []
    for name, mask in masks.items():
        rows = mask[place]
        figures = {"WA": np.nan, "UAR": np.nan}
        if rows.any():
            figures = summary(y_true[rows], y_pred[rows])
        n = np.count_nonzero(np.bincount(place[rows]))  # several seeds answer each row again
        lines.append((cell, name, fold, n, figures["WA"], figures["UAR"]))
    return lines
