"""What the page's browser of answers shows.

Every test utterance, what was said, and what each modality would have said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classify.figures.results_folder import Run, probabilities
from classify.names import HEAD, PROBE, UNIMODAL

MAX_ROWS = 20_000  # of more test rows the wrong ones are kept first: a page must stay quick to open
DIGITS = 3


def browser_data(run: Run, media_root: Path | None) -> dict[str, object]:
    """Return the browser's data, plain JSON types, column by column.

    Keys: ``classes``, ``kind`` (``probability`` or ``margin``), ``total`` (test rows), ``columns``
    (name to values), ``modalities`` (of each its ``name``, ``answer`` codes, -1 for none, and
    ``chance``).
    """
    cell = run.headline
    answers = run.answers(cell) if cell else pd.DataFrame()
    if not len(answers):
        return {
            "classes": list(run.classes),
            "kind": "",
            "total": 0,
            "columns": {},
            "modalities": [],
        }
    total, codes = len(answers), {name: code for code, name in enumerate(run.classes)}
    wrong = (answers["y_true"] != answers["y_pred"]).to_numpy()
    kept = np.sort(np.argsort(~wrong, kind="stable")[:MAX_ROWS])
    answers = answers.iloc[kept].reset_index(drop=True)
    scores = answers[[f"score:{name}" for name in run.classes]].to_numpy(dtype=float)
    ordered = np.sort(scores, axis=1)
    chances = probabilities(answers, run.classes)
    sure = ordered[:, -1] if chances is not None else ordered[:, -1] - ordered[:, -2]
    columns: dict[str, object] = {
        "id": answers["id"].tolist(),
        "fold": answers["fold"].astype(int).tolist(),
        "truth": [codes[name] for name in answers["y_true"]],
        "answer": [codes[name] for name in answers["y_pred"]],
        "scores": _rounded(scores),
        "sure": [round(float(v), DIGITS) for v in sure],
    }
    columns |= _from_manifest(run, answers["id"].tolist(), media_root)
    return {
        "classes": list(run.classes),
        "kind": "probability" if chances is not None else "margin",
        "total": total,
        "columns": columns,
        "modalities": _modalities(run, answers, codes),
    }


def clip_link(
    results: Path, root: Path, path: str, start_s: float = float("nan"), end_s: float = float("nan")
) -> str:
    """Return a link from the report to a clip.

    Relative and quoted, so that no path can be a script or leave the page's disk.

    >>> clip_link(Path("runs/r"), Path("corpus"), "wav/a b.wav")
    '../../corpus/wav/a%20b.wav'
    >>> clip_link(Path("r"), Path("r"), "javascript:alert(1)"), clip_link(Path("r"), Path("r"), "f.avi", 1.5, 2.0)
    ('./javascript%3Aalert%281%29', './f.avi#t=1.5,2')
    """
    relative = Path(os.path.relpath(root / path, results)).as_posix()
    moment = (
        "" if np.isnan(start_s) else f"#t={start_s:g}" + ("" if np.isnan(end_s) else f",{end_s:g}")
    )
    return (
        ("" if relative.startswith("../") else "./")
        + quote(relative.encode("utf-8", "surrogateescape"))
        + moment
    )


def _from_manifest(run: Run, ids: Sequence[str], media_root: Path | None) -> dict[str, object]:
    if run.manifest is None:
        return {}
    place = {str(i): n for n, i in enumerate(run.manifest.ids.tolist())}
    table = run.manifest.table.iloc[[place[i] for i in ids]]
    found: dict[str, object] = {
        name: table[name].astype(str).tolist()
        for name in ("text", "speaker", "session")
        if (table[name] != "").any()
    }
    for modality in (m for m in ("audio", "video") if (table[m] != "").any()):
        starts, ends = (_times(table, modality, edge) for edge in ("start_s", "end_s"))
        if media_root is None:
            found[f"{modality}_path"] = table[modality].astype(str).tolist()
        else:
            found[f"{modality}_link"] = [
                clip_link(run.folder, media_root, path, start, end) if path else ""
                for path, start, end in zip(table[modality].astype(str), starts, ends, strict=True)
            ]
    return found


def _times(table: pd.DataFrame, modality: str, edge: str) -> list[float]:
    """A modality's own times where the corpus gives them (``meta_video_start_s``), else the row's."""
    own = f"meta_{modality}_{edge}"
    column = own if own in table and pd.api.types.is_numeric_dtype(table[own]) else edge
    return [float(value) for value in table[column]]


def _modalities(run: Run, answers: pd.DataFrame, codes: dict[str, int]) -> list[dict[str, object]]:
    """What each modality's own head or probe says of the same rows, in probabilities."""
    found = []
    for modality in run.modalities:
        for source in (HEAD, PROBE):
            cell = f"{UNIMODAL} {modality} {source}"
            if not len(run.of(cell)):
                continue
            own = run.answers(cell)
            chances = probabilities(own, run.classes)
            if chances is None:
                continue
            said = own.assign(
                code=[codes[name] for name in own["y_pred"]], chance=chances.max(axis=1)
            )
            joined = answers[["id", "fold"]].merge(
                said[["id", "fold", "code", "chance"]], on=["id", "fold"], how="left"
            )
            found.append(
                {
                    "name": modality,
                    "answer": joined["code"].fillna(-1).astype(int).tolist(),
                    "chance": [
                        None if pd.isna(v) else round(float(v), DIGITS) for v in joined["chance"]
                    ],
                }
            )
    return found


def _rounded(scores: NDArray[np.float64]) -> list[list[float]]:
    rows: list[list[float]] = scores.round(DIGITS).tolist()
    return rows
