"""What a model says of new media: of each window, and of each file as a whole; and their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.bundle.bundle import Bundle
from classify.labelling.aggregate import RULES, FileLabel, label_file
from classify.labelling.remarks import remarks
from classify.labelling.smoothing import Smoothing, smooth
from classify.labelling.stored_views import StoredViews
from embeddings_store.atomic import make_folder, replacing, write_json
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

UNANSWERED = ""  # the label of a window that has nothing to answer from
UNSURE = "unsure"  # of one whose probability is below what was asked for
TIMELINE, LABELS = "timeline", "labels.csv"
EXTRA = ("text", "alone")  # columns that not every timeline has


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What becomes of the model's answers.

    Attributes:
        smoothing: How neighbouring windows steady each other.
        unsure_below: Windows and files whose label is less probable are called ``unsure``.
    """

    smoothing: Smoothing = field(default_factory=Smoothing)
    unsure_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the bound.

        Raises:
            UsageError: It is no probability.
        """
        if not 0 <= self.unsure_below <= 1:
            raise UsageError(f"--unsure-below {self.unsure_below:g} is no probability from 0 to 1")


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a model says of one file.

    Attributes:
        file: Its name.
        classes: The model's classes, in the order of ``windows``' columns.
        windows: A row per window: ``start_s`` and ``end_s`` (``nan`` for text), ``label`` (empty
            where nothing could be answered, ``unsure`` below ``unsure_below``), ``confidence`` (the
            label's probability), ``p:`` and each class, ``answered_by`` (the modalities that were
            there, joined by ``+``) and ``note`` (why others were not); ``text`` where a row has
            words, and ``alone``, each window's label for itself, where windows are smoothed.
        labels: Rule of :mod:`classify.labelling.aggregate` to the file's label, from windows that
            are not smoothed; none where no window was answered.
        unsure_below: As in :class:`LabelOptions`.
        smoothing: How windows were smoothed, in words; empty where they were not.
        remarks: What a reader should know of this file, a sentence each.
        worth: How often the model is right, a sentence each.
    """

    file: str
    classes: tuple[str, ...]
    windows: pd.DataFrame
    labels: Mapping[str, FileLabel]
    unsure_below: float = 0.0
    smoothing: str = ""
    remarks: tuple[str, ...] = ()
    worth: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        """How many windows have a label."""
        return int((self.windows["label"] != UNANSWERED).sum())

    def label(self, rule: str = "mean") -> str:
        """Return the file's label by a rule, ``unsure``, or nothing where there is none."""
        found = self.labels.get(rule)
        if found is None or found.code < 0:
            return UNANSWERED
        return UNSURE if found.confidence < self.unsure_below else self.classes[found.code]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write ``timeline.csv`` and ``timeline.json`` into a folder of the file's own.

        Raises:
            StoreFullError, StoreAccessError: They cannot be written.
        """
        own = folder / self.file
        make_folder(own)
        table, described = own / f"{TIMELINE}.csv", own / f"{TIMELINE}.json"
        with replacing(table) as temporary:
            self.windows.to_csv(temporary, index=False, lineterminator="\n")
        write_json(described, self.as_json())
        return table, described

    def as_json(self) -> dict[str, object]:
        """Return the same as plain data; what is missing is ``null``."""
        windows = []
        for row in self.windows.to_dict("records"):
            chances = {name: _number(row[f"p:{name}"]) for name in self.classes}
            described = {
                "start_s": _number(row["start_s"]),
                "end_s": _number(row["end_s"]),
                "label": row["label"] or None,
                "confidence": _number(row["confidence"]),
                "probabilities": chances,
                "answered_by": [name for name in row["answered_by"].split("+") if name],
                "note": row["note"],
            }
            windows.append({**described, **{key: row[key] for key in EXTRA if key in row}})
        labels = {}
        for rule, found in self.labels.items():
            labels[rule] = {
                "label": self.label(rule) or None,
                "confidence": _number(found.confidence),
                "tied": [self.classes[code] for code in found.tied],
            }
        return {
            "file": self.file,
            "classes": list(self.classes),
            "unsure_below": self.unsure_below,
            "smoothing": self.smoothing or "none",
            "remarks": list(self.remarks),
            "labels": labels,
            "windows": windows,
        }


def make_timelines(
    bundle: Bundle, manifest: Manifest, views: StoredViews, options: LabelOptions
) -> list[Timeline]:
    """Answer every row of a corpus of new media, file by file.

    Args:
        bundle: The model.
        manifest: The rows; ``group`` is the file.
        views: What the store holds of them.
        options: What becomes of the answers.

    Raises:
        UsageError: ``unsure`` is asked for, and is one of the model's classes.
    """
    classes = bundle.labels.classes
    if options.unsure_below and UNSURE in classes:
        raise UsageError(f"the model has a class {UNSURE!r}, so leave out --unsure-below")
    scores = views.answer(bundle)
    answers = _Answers(
        bundle.system.answerable(views.present),
        scores.labels,
        bundle.system.probabilities(scores),
        [_answered_by(bundle, views, row) for row in range(len(manifest))],
        [_note(bundle, views, row) for row in range(len(manifest))],
    )
    groups = manifest.column("group")
    worth = tuple(bundle.about[key] for key in ("WA", "UAR") if key in bundle.about)
    made = []
    for file in dict.fromkeys(groups.tolist()):
        rows = np.flatnonzero(groups == file)
        own = answers.of(rows)
        labels = {}
        if own.answered.any():
            for rule in RULES:
                at = own.answered
                labels[rule] = label_file(rule, own.labels[at], own.chances[at])
        windows = _windows(manifest, rows, own, bundle, options)
        how = options.smoothing.describe()
        known = remarks(bundle, windows)
        made.append(
            Timeline(file, classes, windows, labels, options.unsure_below, how, known, worth)
        )
    return made


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model says of rows: arrays (n,) and (n, C), and texts."""

    answered: NDArray[np.bool_]
    labels: NDArray[np.int64]
    chances: NDArray[np.float64]
    by: list[str]
    notes: list[str]

    def of(self, rows: NDArray[np.int64]) -> _Answers:
        """Return those of some rows; without an answer the chances are ``nan``."""
        chances = self.chances[rows].copy()
        chances[~self.answered[rows]] = np.nan
        by, notes = [self.by[row] for row in rows], [self.notes[row] for row in rows]
        return _Answers(self.answered[rows], self.labels[rows], chances, by, notes)


def _windows(
    manifest: Manifest,
    rows: NDArray[np.int64],
    own: _Answers,
    bundle: Bundle,
    options: LabelOptions,
) -> pd.DataFrame:
    """Return the table of one file's windows, see :class:`Timeline`."""
    names = np.array(bundle.labels.classes)
    labels, chances = smooth(own.labels, own.chances, class_shares(bundle), options.smoothing)
    windows = manifest.table.iloc[rows][["start_s", "end_s"]].reset_index(drop=True)
    windows["confidence"] = chances[np.arange(len(rows)), labels]
    named = np.where(own.answered, names[labels], UNANSWERED).astype(object)
    named[own.answered & (windows["confidence"].to_numpy() < options.unsure_below)] = UNSURE
    windows.insert(2, "label", named)
    for code, name in enumerate(names.tolist()):
        windows[f"p:{name}"] = chances[:, code]
    windows["answered_by"], windows["note"] = own.by, own.notes
    if options.smoothing.describe():
        windows["alone"] = np.where(own.answered, names[own.labels], UNANSWERED)
    texts = manifest.table.iloc[rows]["text"].astype(str)
    if (texts != "").any():
        windows["text"] = texts.tolist()
    return windows


def class_shares(bundle: Bundle) -> NDArray[np.float64]:
    """Return the share of each class in the rows that a model was fitted on (C,).

    Every class alike where the bundle does not say.
    """
    classes = bundle.labels.classes
    form = ", ".join(f"{re.escape(name)} ([0-9]{{1,12}})" for name in classes)
    found = re.fullmatch(form, bundle.about.get("rows_by_class", ""))
    counts = np.array([int(count) for count in found.groups()] if found else [1] * len(classes))
    return np.asarray(np.maximum(counts, 1) / np.maximum(counts, 1).sum())


def write_labels(path: Path, timelines: list[Timeline]) -> None:
    """Write one row per file: windows, answered windows, and the label by each rule.

    Args:
        path: The file.
        timelines: What the model says.

    Raises:
        StoreFullError, StoreAccessError: It cannot be written.
    """
    import pandas as pd

    lines = []
    for timeline in timelines:
        of_rules = {rule: timeline.label(rule) for rule in RULES}
        counts = {"windows": len(timeline.windows), "answered": timeline.answered}
        lines.append({"file": timeline.file, **counts, **of_rules})
    with replacing(path) as temporary:
        pd.DataFrame(lines).to_csv(temporary, index=False, lineterminator="\n")


def _answered_by(bundle: Bundle, views: StoredViews, row: int) -> str:
    there = [e.ref.modality for e in bundle.encoders if views.present[e.view][row]]
    return "+".join(dict.fromkeys(there))


def _note(bundle: Bundle, views: StoredViews, row: int) -> str:
    notes: dict[str, str] = {}
    for encoder in bundle.encoders:
        modality, reason = encoder.ref.modality, views.reasons[encoder.view][row]
        if reason == f"the manifest gives no {modality}":
            reason = "none"
        if reason:
            notes.setdefault(modality, f"{modality}: {reason}")
    return "; ".join(notes.values())


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
