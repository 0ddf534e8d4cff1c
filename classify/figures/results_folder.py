"""A finished run as figures and the report read it.

By column names, and whatever optional files are there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classify.evaluation.metrics import METRICS
from classify.names import UNIMODAL
from classify.results.table import CHOSEN, FIXED, ON_TEST
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreError, StoreMismatchError, StoreNotFoundError, UsageError
from embeddings_store.tables import first_line
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.hdf5 import read_embeddings

NEEDED = (
    "corpus",
    "protocol",
    "plan_digest",
    "fold",
    "fold_name",
    "cell",
    "family",
    "modalities",
    "classifier",
    "encoders",
    "flags",
    "n_test",
    "WA",
    "UAR",
)
NUMBERS = (
    "fold",
    "n_train",
    "n_valid",
    "n_test",
    "n_scored",
    "n_missing",
    *METRICS,
    "train_WA",
    "valid_WA",
    "constant_WA",
)
SEEDS = ("seed", "encoder_seed")
ORDER = ("text", "audio", "video")  # the paper's


@dataclass(frozen=True, slots=True)
class Run:
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
    def read(cls, folder: Path, store: Path | None = None) -> Run:
        """Read a folder that ``run-fusion-grid`` wrote.

        Args:
            folder: The results.
            store: The store that they were made from.

        Raises:
            StoreNotFoundError: The folder has no ``grid.csv`` or ``predictions.parquet``.
            StoreError: They are not what they must be.
            UnknownNameError: The store holds another corpus.
        """
        rows = _grid(folder / "grid.csv")
        classes = tuple(
            name.removeprefix("score:")
            for name in _predictions(folder).schema_arrow.names
            if name.startswith("score:")
        )
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
    def folds(self) -> list[int]:
        """Numbers of the folds, in order."""
        return sorted({int(fold) for fold in self.rows["fold"]})

    @property
    def modalities(self) -> list[str]:
        """What was fused: the paper's order first, then by name."""
        named = {m for cell in self.rows["modalities"] for m in cell.split("+") if m}
        return [m for m in ORDER if m in named] + sorted(named - set(ORDER))

    @property
    def headline(self) -> str:
        """The cell whose test figures are shown first, or an empty string.

        Of a choice on test rows they are an upper bound.
        """
        return self.flagged(CHOSEN) or self.flagged(FIXED) or self.flagged(ON_TEST)

    @property
    def how_chosen(self) -> str:
        """Say how the headline came to be it."""
        return (
            "chosen on validation rows"
            if self.flagged(CHOSEN)
            else "fixed beforehand"
            if self.flagged(FIXED)
            else "chosen on the test rows themselves (an upper bound)"
        )

    @property
    def shuffled(self) -> bool:
        """Say whether labels were permuted."""
        return "labels_shuffled" in self.rows and bool((self.rows["labels_shuffled"] != "no").any())

    def flagged(self, flag: str) -> str:
        """Return the cell that carries a flag, or an empty string."""
        names = self.rows.loc[
            self.rows["flags"].str.split().map(lambda flags: flag in flags), "cell"
        ]
        return str(names.iloc[0]) if len(names) else ""

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

        By validation rows, or by test rows where nothing validates; else nothing.
        """
        single = self.rows[
            (self.rows["family"] == UNIMODAL)
            & ~self.rows["modalities"].str.contains("+", regex=False)
        ]
        if not len(single):
            return ""
        judge = "valid_WA" if "valid_WA" in single and single["valid_WA"].notna().all() else "WA"
        return str(single.groupby("cell", sort=False)[judge].mean().idxmax())

    def answers(
        self, cell: str, roles: Sequence[str] = ("test",), folds: Sequence[int] = ()
    ) -> pd.DataFrame:
        """Return what a cell said of each row.

        Id, fold, role, kind, y_true, y_pred and a ``score:`` column per class.

        Where there are several seeds, the answers are those of the first.
        """
        wanted: list[tuple[str, str, object]] = [("cell", "==", cell), ("role", "in", list(roles))]
        if folds:
            wanted.append(("fold", "in", list(folds)))
        path = self.folder / "predictions.parquet"
        for name in self._seeds():
            first = self.rows[name].iloc[0]
            wanted.append((name, "==", int(first) if name == "seed" else first))
        columns = [
            "id",
            "fold",
            "role",
            "kind",
            "y_true",
            "y_pred",
            *(f"score:{name}" for name in self.classes),
        ]
        table = pq.read_table(path, columns=columns, filters=wanted).to_pandas()
        return table.astype(dict.fromkeys(("id", "role", "kind", "y_true", "y_pred"), "str"))

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
        try:
            return pd.read_csv(
                path,
                keep_default_na=False,
                na_values=[""],
                dtype={"class": str, "truth": str, "row": str},
            )
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path}: is not a table ({first_line(error)}); delete it and run the grid again"
            ) from error

    def entry(self, modality: str, fold: int) -> Entry | None:
        """Return the store's file that served a modality in a fold, or none where there is no store or no such file."""
        folder, seed = self._folders(fold).get(modality), self._encoder_seed(modality)
        found = [
            e
            for e in self.entries
            if e.ref.modality == modality
            and e.ref.folder == folder
            and e.fold in (str(fold), "any")
            and str(e.ref.seed) == (seed or str(e.ref.seed))
        ]
        return min(found, key=lambda e: (e.fold == "any", e.ref.seed), default=None)

    def history(self, modality: str, fold: int) -> pd.DataFrame | None:
        """Return the course of the training that served a modality in a fold, or none for a frozen encoder.

        Columns: step, epoch, loss, learning_rate, valid_loss, valid_accuracy; a line is of a
        training step or of an epoch's end, and what does not belong to it is ``nan``.
        """
        entry = self.entry(modality, fold)
        path = entry.path.with_suffix(".history.csv") if entry else None
        if path is None or not path.is_file():
            return None
        table = pd.read_csv(path)
        absent = [c for c in ("step", "loss") if c not in table]
        if absent:
            raise StoreError(
                f"{path}: has no column {absent[0]!r}; it is no history of a training, remove it"
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
                "the results "
                f"name ({self._folders(fold).get(modality, 'none')})"
            )
        file = read_embeddings(entry.path)
        if (
            file.fold != "any"
            and file.attributes.get("plan_digest") != self.rows["plan_digest"].iloc[0]
        ):
            raise StoreMismatchError(
                f"{entry.path}: was trained under another plan (digest "
                f"{file.attributes.get('plan_digest')}) than the results in {self.folder} "
                f"({self.rows['plan_digest'].iloc[0]}); name the store that they were made from"
            )
        return file

    def _encoder_seed(self, modality: str) -> str:
        """The first seed of a modality's fine-tuning, or nothing where the results do not say."""
        told = str(self.rows["encoder_seed"].iloc[0]) if "encoder_seed" in self.rows else ""
        return dict(pair.partition("=")[::2] for pair in told.split(",")).get(modality, "")

    def _folders(self, fold: int) -> dict[str, str]:
        pairs = [
            pair
            for cell in self.rows.loc[self.rows["fold"] == fold, "encoders"].unique()
            for pair in re.split(r",(?=[^,=]+=)", cell)
            if pair
        ]
        return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def _grid(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; name the folder that run-fusion-grid wrote with --out"
        )
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        absent = [name for name in NEEDED if name not in rows]
        if absent or not len(rows):
            raise ValueError(f"no column {absent[0]!r}" if absent else "no rows")
        rows["valid_WA"] = rows.get("valid_WA", "")
        for name in (name for name in NUMBERS if name in rows):
            rows[name] = rows[name].replace("", "nan").astype(float)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: is not a table of results ({first_line(error)}); run the grid again"
        ) from error
    return rows


def _predictions(folder: Path) -> pq.ParquetFile:
    path = folder / "predictions.parquet"
    if not path.is_file():
        raise StoreNotFoundError(
            f"{path}: no such file; run the grid again, finished cells are kept"
        )
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({first_line(error)}); run the grid again, finished cells "
            "are kept"
        ) from error


def probabilities(answers: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the scores (n, C) where they are probabilities, else none.

    Margins are not made into something they are not.
    """
    if not len(answers) or set(answers["kind"]) != {"probability"}:
        return None
    return np.asarray(answers[[f"score:{name}" for name in classes]], dtype=np.float64)


def same_run(one: Run, other: Run) -> None:
    """Check that two runs may stand side by side.

    Raises:
        UsageError: They are of other rows, folds or labels.
    """
    for name in ("corpus", "plan_digest", "labels_digest"):
        here, there = one.rows[name].iloc[0], other.rows[name].iloc[0]
        if here != there:
            raise UsageError(
                f"{other.folder} cannot stand beside {one.folder}: their {name} differ ({there} "
                f"and {here}), so "
                "their figures are of other rows"
            )
