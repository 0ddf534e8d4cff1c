"""A finished run as figures and the report read it: by column names, with its optional files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classify.claim import Claim
from classify.evaluation.agreement import ANSWERS, check_columns, check_folder
from classify.evaluation.means import (
    choosing_rows_in_words,
    first_best,
    has_chosen,
    mean_on_test,
    mean_on_valid,
)
from classify.evaluation.metrics import COVERAGE
from classify.evaluation.result_files import (
    AGAIN,
    GRID,
    GRID_SHAPE,
    PREDICTIONS,
    RESULTS_TABLE,
    TableShape,
    read_rows,
    read_words,
)
from classify.names import BASELINE, UNIMODAL
from classify.results.table import CHOSEN, FIXED, ON_FITTED, SCHEMA, headline_cell
from classify.results.table_shapes import SHAPES
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError, StoreMismatchError, StoreNotFoundError, UsageError
from embeddings_store.folds.natural_order import natural_key
from embeddings_store.reading import reading
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.hdf5 import read_embeddings

SEEDS = ("seed", "encoder_seed")
Filters = list[tuple[str, str, object]]  # column, comparison and value, all of which must hold
ORDER = ("text", "audio", "video")  # the paper's


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a results folder holds, and the store that it was made from.

    Attributes:
        folder: The results.
        rows: ``grid.csv``: one row per cell and fold.
        classes: The label order.
        store: The store's folder, or none: then there are no training curves, maps or transcripts.
        manifest: The corpus, or none.
        entries: The store's files of this corpus.
    """

    folder: Path
    rows: pd.DataFrame
    classes: tuple[str, ...]
    store: Path | None
    manifest: Manifest | None
    entries: Sequence[Entry]

    @classmethod
    def read(cls, folder: Path, store: Path | None = None) -> FinishedRun:
        """Read a folder that ``run-fusion-grid`` wrote.

        Args:
            folder: The results.
            store: The store that they were made from.

        Raises:
            StoreNotFoundError: The folder has no ``grid.csv`` or ``predictions.parquet``.
            StoreError: They are not what they must be, or do not agree with each other.
            UnknownNameError: The store holds another corpus.
        """
        rows = _grid(folder / GRID)
        columns = _predictions(folder).names
        check_folder(folder, rows)
        scores = [name for name in columns if name.startswith("score:")]
        classes = tuple(name.removeprefix("score:") for name in scores)
        corpus = str(rows["corpus"].iloc[0])
        if store is None:
            return cls(folder, rows, classes, None, None, ())
        entries = catalogue(store, corpus)
        manifest = Manifest.load(store / corpus)
        return cls(folder, rows, classes, store, manifest, entries)

    @property
    def corpus(self) -> str:
        """The corpus' name."""
        return str(self.rows["corpus"].iloc[0])

    @property
    def claim(self) -> Claim:
        """What the figures may be called."""
        return Claim.of_rows(self.rows)

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds, in order."""
        return sorted({int(fold) for fold in self.rows["fold"]})

    @property
    def modalities(self) -> list[str]:
        """What was fused: the paper's order first, then by name."""
        named: set[str] = set()
        for modalities in self.rows["modalities"]:
            named.update(modalities.split("+"))
        named.discard("")
        return [m for m in ORDER if m in named] + sorted(named - set(ORDER), key=natural_key)

    @property
    def headline(self) -> str:
        """The cell whose test figures are shown first, or an empty string.

        Of a choice on test rows they are an upper bound.
        """
        return headline_cell(self.rows)

    @property
    def how_chosen(self) -> str:
        """Say how the headline came to be it."""
        if self.flagged(CHOSEN) or self.flagged(ON_FITTED):
            return f"chosen on {choosing_rows_in_words(self.rows)}"
        if self.flagged(FIXED):
            return "fixed beforehand"
        return "chosen on the test rows themselves (an upper bound)"

    @property
    def majority(self) -> str:
        """The cell that always answers the commonest class, or an empty string."""
        baselines = self.rows.loc[self.rows["family"] == BASELINE, "cell"]
        names = [name for name in baselines if "majority" in name]
        return names[0] if names else ""

    @property
    def shuffled(self) -> bool:
        """Say whether labels were permuted."""
        return "labels_shuffled" in self.rows and bool((self.rows["labels_shuffled"] != "no").any())

    @property
    def is_incomplete(self) -> bool:
        """Say whether any cell leaves test rows of the plan unscored."""
        return COVERAGE in self.rows and bool((self.rows[COVERAGE] < 1).any())

    def flagged(self, flag: str) -> str:
        """Return the cell that carries a flag, or an empty string."""
        for cell, flags in zip(self.rows["cell"], self.rows["flags"], strict=True):
            if flag in flags.split():
                return str(cell)
        return ""

    def of(self, cell: str) -> pd.DataFrame:
        """Return a cell's rows, one per fold and seed."""
        return self.rows[self.rows["cell"] == cell]

    def by_fold(self, cell: str, metric: str = "WA") -> pd.Series:
        """Return a metric per fold, the mean over seeds, in per cent."""
        return 100 * self.of(cell).groupby("fold")[metric].mean()

    def mean(self, cell: str, metric: str = "WA") -> float:
        """Return a metric's mean over folds, in per cent."""
        return float(self.by_fold(cell, metric).mean())

    def best_single(self) -> str:
        """Return the best cell of one modality.

        By the rows that choose, or by test rows where none do; else nothing.
        """
        single = self.rows[
            (self.rows["family"] == UNIMODAL)
            & ~self.rows["modalities"].str.contains("+", regex=False)
        ]
        if not len(single):
            return ""
        means = mean_on_valid(single) if has_chosen(single) else mean_on_test(single)
        return str(first_best(means.to_dict()))

    def answers(
        self, cell: str, roles: Sequence[str] = ("test",), folds: Sequence[int] = ()
    ) -> pd.DataFrame:
        """Return what a cell answered for each row.

        Args:
            cell: The cell.
            roles: The rows' roles.
            folds: Numbers of the folds; none takes all.

        Returns:
            Id, fold, role, kind, y_true, y_pred and a ``score:`` column per class. Where there are
            several seeds, the answers are those of the first.
        """
        filters: Filters = [("cell", "==", cell), ("role", "in", list(roles))]
        if folds:
            filters.append(("fold", "in", list(folds)))
        for name in self._seeds():
            first = self.rows[name].iloc[0]
            # predictions.parquet holds the seed as a number, grid.csv is read as text
            filters.append((name, "==", int(first) if name == "seed" else first))
        texts = ("id", "role", "kind", "y_true", "y_pred")
        table = self._answers(["id", "fold", *texts[1:], *self.score_columns], filters)
        return table.astype(dict.fromkeys(texts, "str"))

    def right(self, cell: str) -> pd.Series:
        """Return of each test row whether a cell is right, by id, fold and seeds."""
        keys = ["id", "fold", *self._seeds()]
        wanted: Filters = [("cell", "==", cell), ("role", "==", "test")]
        table = self._answers([*keys, "y_true", "y_pred"], wanted)
        right = table["y_true"].astype(str) == table["y_pred"].astype(str)
        return right.set_axis(pd.MultiIndex.from_frame(table[keys].astype(str)))

    def _answers(self, columns: Sequence[str], filters: Filters) -> pd.DataFrame:
        """Read some columns of some rows of the predictions."""
        path = self.folder / PREDICTIONS
        with reading(path, ANSWERS, AGAIN, StoreError):
            return pq.read_table(path, columns=list(columns), filters=filters).to_pandas()

    @property
    def score_columns(self) -> list[str]:
        """The columns of scores in :meth:`answers`, in the order of the classes."""
        return [f"score:{name}" for name in self.classes]

    def _seeds(self) -> list[str]:
        """Columns of seeds of which there are several."""
        return [name for name in SEEDS if name in self.rows and self.rows[name].nunique() > 1]

    def table(self, name: str) -> pd.DataFrame | None:
        """Return an optional CSV table of the results folder, or none; text stays text.

        Raises:
            StoreError: It is there and is no table.
        """
        path = self.folder / name
        if not path.is_file():
            return None
        shape = SHAPES.get(name, TableShape())
        read_words(path, shape)  # which says what is wrong with it, and where
        with reading(path, RESULTS_TABLE, AGAIN, StoreError):
            return pd.read_csv(
                path,
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8",
                index_col=False,
                dtype={"class": str, "truth": str, "row": str},
            )

    def entry(self, modality: str, fold: int) -> Entry | None:
        """Return the store's file that served a modality in a fold.

        None where there is no store or no such file. A fold's own file goes before one that
        serves every fold, and without a recorded seed the lowest is taken.
        """
        folder, seed = self._folders(fold).get(modality), self._encoder_seed(modality)
        found = []
        for entry in self.entries:
            of_seed = seed in ("", str(entry.ref.seed))
            if entry.ref.folder == folder and of_seed and entry.fold in (str(fold), "any"):
                found.append(entry)
        return min(found, key=lambda e: (e.fold == "any", e.ref.seed), default=None)

    def entries_of(self, modality: str) -> list[Entry]:
        """Return the files that served a modality, one per fold that has one."""
        found = [self.entry(modality, fold) for fold in self.folds]
        return [entry for entry in found if entry is not None]

    def history(self, modality: str, fold: int) -> pd.DataFrame | None:
        """Return the course of a modality's training in a fold, or none for a frozen encoder.

        Columns: step, epoch, loss, learning_rate, valid_loss, valid_accuracy; a line is of a
        training step or of an epoch's end, and what does not belong to it is ``nan``.

        Raises:
            StoreError: The file is no history of a training.
        """
        entry = self.entry(modality, fold)
        path = entry.path.with_suffix(".history.csv") if entry else None
        if path is None or not path.is_file():
            return None
        with reading(path, "a history of a training", "remove it", StoreError):
            table = pd.read_csv(path)
        absent = [c for c in ("step", "loss") if c not in table]
        if absent:
            raise StoreError(
                f"{path}: has no column {absent[0]!r}; it is no history of a training, remove it"
            )
        words = table.select_dtypes(exclude="number").columns
        if len(words):
            raise StoreError(
                f"{path}: the column {words[0]!r} holds other than numbers; it is no history of a "
                "training, remove it"
            )
        if not len(table.dropna(subset=["step", "loss"])):
            raise StoreError(
                f"{path}: no line has a step and its loss; it is no history of a training, remove "
                "it"
            )
        return table

    def vectors(self, modality: str, fold: int) -> Embeddings:
        """Return the vectors of the encoder that served a fold.

        Raises:
            StoreNotFoundError: The store does not hold them.
            StoreMismatchError: They were trained under another plan than the run's.
        """
        entry = self.entry(modality, fold)
        if entry is None:
            raise StoreNotFoundError(
                f"{self.store}: holds no {modality} vectors of fold {fold} by the encoder that "
                f"the results name ({self._folders(fold).get(modality, 'none')})"
            )
        file = read_embeddings(entry.path)
        trained_under, plan = file.attributes.get("plan_digest"), self.rows["plan_digest"].iloc[0]
        if file.fold != "any" and trained_under != plan:
            raise StoreMismatchError(
                f"{entry.path}: was trained under another plan (digest {trained_under}) than the "
                f"results in {self.folder} ({plan}); name the store that they were made from"
            )
        return file

    def _encoder_seed(self, modality: str) -> str:
        """The first seed of a modality's fine-tuning, or nothing where the results do not say."""
        if "encoder_seed" not in self.rows:
            return ""
        pairs = str(self.rows["encoder_seed"].iloc[0]).split(",")
        seeds = dict(pair.partition("=")[::2] for pair in pairs)
        return seeds.get(modality, "")

    def _folders(self, fold: int) -> dict[str, str]:
        """Each modality's folder in the store, as the column ``encoders`` names them."""
        folders = {}
        for encoders in self.rows.loc[self.rows["fold"] == fold, "encoders"].unique():
            # a folder may hold a comma itself: only one before "NAME=" separates
            for pair in re.split(r",(?=[^,=]+=)", encoders):
                if pair:
                    modality, _, folder = pair.partition("=")
                    folders[modality] = folder
        return folders


def _grid(path: Path) -> pd.DataFrame:
    """Read ``grid.csv`` with its numbers as numbers and all else as text."""
    return read_rows(path, replace(GRID_SHAPE, needed=tuple(SCHEMA)))


def _predictions(folder: Path) -> pa.Schema:
    path = folder / PREDICTIONS
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; run the grid again, finished cells are kept"
        )
    with reading(path, ANSWERS, AGAIN, StoreError):
        schema = pq.read_schema(path)
    check_columns(path, schema)
    return schema


def probabilities(answers: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the scores (n, C) where they are probabilities, else none.

    Margins are not made into something they are not.
    """
    if not len(answers) or set(answers["kind"]) != {"probability"}:
        return None
    return np.asarray(answers[[f"score:{name}" for name in classes]], dtype=np.float64)


def same_run(one: FinishedRun, other: FinishedRun) -> None:
    """Check that two runs may stand side by side.

    Raises:
        UsageError: They are of other rows, folds or labels.
    """
    for name in ("corpus", "plan_digest", "labels_digest"):
        here, there = one.rows[name].iloc[0], other.rows[name].iloc[0]
        if here != there:
            raise UsageError(
                f"{other.folder} cannot stand beside {one.folder}: their {name} differ ({there} "
                f"and {here}), so their figures are of other rows"
            )
