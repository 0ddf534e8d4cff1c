"""What a model says of new media: of each window, and of each file as a whole; and their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classify.bundle.bundle import Bundle
from classify.labelling.aggregate import RULES, FileLabel, label_file
from classify.labelling.stored_views import StoredViews
from embeddings_store.atomic import make_folder, replacing, write_json
from embeddings_store.corpus.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

UNANSWERED = ""  # the label of a window that has nothing to answer from
TIMELINE, LABELS = "timeline", "labels.csv"


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a model says of one file.

    Attributes:
        file: Its name.
        classes: The model's classes, in the order of ``windows``' columns.
        windows: A row per window: ``start_s`` and ``end_s`` (``nan`` for text), ``label`` (empty
            where nothing could be answered), ``confidence`` (the label's probability), ``p:`` and
            each class, ``answered_by`` (the modalities that were there, joined by ``+``) and
            ``note`` (why others were not).
        labels: Rule of :mod:`classify.labelling.aggregate` to the file's label; none where no
            window was answered.
    """

    file: str
    classes: tuple[str, ...]
    windows: pd.DataFrame
    labels: Mapping[str, FileLabel]

    @property
    def answered(self) -> int:
        """How many windows have a label."""
        return int((self.windows["label"] != UNANSWERED).sum())

    def label(self, rule: str = "mean") -> str:
        """Return the file's label by a rule, or nothing where there is none."""
        found = self.labels.get(rule)
        return self.classes[found.code] if found is not None and found.code >= 0 else UNANSWERED

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
            windows.append(
                {
                    "start_s": _number(row["start_s"]),
                    "end_s": _number(row["end_s"]),
                    "label": row["label"] or None,
                    "confidence": _number(row["confidence"]),
                    "probabilities": chances,
                    "answered_by": [name for name in row["answered_by"].split("+") if name],
                    "note": row["note"],
                }
            )
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
            "labels": labels,
            "windows": windows,
        }


def make_timelines(bundle: Bundle, manifest: Manifest, views: StoredViews) -> list[Timeline]:
    """Answer every row of a corpus of new media, file by file.

    Args:
        bundle: The model.
        manifest: The rows; ``group`` is the file.
        views: What the store holds of them.
    """
    scores = views.answer(bundle)
    chances = bundle.system.probabilities(scores)
    answered = bundle.system.answerable(views.present)
    classes = bundle.labels.classes
    table = manifest.table
    timelines = []
    for file in dict.fromkeys(manifest.column("group").tolist()):
        rows = np.flatnonzero(manifest.column("group") == file)
        at = rows[answered[rows]]
        labels = {}
        if len(at):
            for rule in RULES:
                labels[rule] = label_file(rule, scores.labels[at], chances[at])
        windows = table.iloc[rows][["start_s", "end_s"]].reset_index(drop=True)
        own = np.where(answered[rows], np.array(classes)[scores.labels[rows]], UNANSWERED)
        windows["label"] = own
        largest = chances[rows, scores.labels[rows]]
        windows["confidence"] = np.where(answered[rows], largest, np.nan)
        for code, name in enumerate(classes):
            windows[f"p:{name}"] = np.where(answered[rows], chances[rows, code], np.nan)
        windows["answered_by"] = [_answered_by(bundle, views, row) for row in rows.tolist()]
        windows["note"] = [_note(bundle, views, row) for row in rows.tolist()]
        timelines.append(Timeline(file, classes, windows, labels))
    return timelines


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
