"""The data of the page's browser: every test utterance, its answer, and each modality's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classify.figures.results_folder import FinishedRun, probabilities
from classify.links import relative_link
from classify.names import HEAD, PROBE, UNIMODAL

MAX_ROWS = 20_000  # of more test rows the wrong ones are kept first: a page must stay quick to open
DIGITS = 3  # of scores: more cannot be seen in a bar, and make the page large


def browser_data(run: FinishedRun, media_root: Path | None) -> dict[str, object]:
    """Return the browser's data, plain JSON types, column by column.

    Keys: ``classes``, ``kind`` (``probability`` or ``margin``), ``total`` (test rows), ``columns``
    (name to values), ``modalities`` (of each its ``name``, ``answer`` codes, -1 for none, and
    ``chance``).
    """
    answers = run.answers(run.headline) if run.headline else pd.DataFrame()
    found: dict[str, object] = {
        "classes": list(run.classes),
        "kind": "",
        "total": len(answers),
        "columns": {},
        "modalities": [],
    }
    if not len(answers):
        return found
    answers = _kept(answers)
    codes = {name: code for code, name in enumerate(run.classes)}
    is_probability = probabilities(answers, run.classes) is not None
    found["kind"] = "probability" if is_probability else "margin"
    found["columns"] = {
        **_answer_columns(answers, run.score_columns, codes, is_probability=is_probability),
        **_from_manifest(run, answers["id"].tolist(), media_root),
    }
    found["modalities"] = _modalities(run, answers, codes)
    return found


def _kept(answers: pd.DataFrame) -> pd.DataFrame:
    """At most :data:`MAX_ROWS` rows in their order, the wrong ones before the right ones."""
    wrong = (answers["y_true"] != answers["y_pred"]).to_numpy()
    kept = np.sort(np.argsort(~wrong, kind="stable")[:MAX_ROWS])
    return answers.iloc[kept].reset_index(drop=True)


def _answer_columns(
    answers: pd.DataFrame,
    score_columns: Sequence[str],
    codes: Mapping[str, int],
    *,
    is_probability: bool,
) -> dict[str, object]:
    """Ids, codes of truth and answer, scores, and how sure each answer is."""
    scores = answers[list(score_columns)].to_numpy(dtype=float)
    ordered = np.sort(scores, axis=1)
    sure = ordered[:, -1]
    if not is_probability:
        # a margin means nothing by itself: what counts is the lead over the runner-up
        sure = sure - ordered[:, -2]
    return {
        "id": answers["id"].tolist(),
        "fold": answers["fold"].astype(int).tolist(),
        "truth": [codes[name] for name in answers["y_true"]],
        "answer": [codes[name] for name in answers["y_pred"]],
        "scores": scores.round(DIGITS).tolist(),
        "sure": [round(float(value), DIGITS) for value in sure],
    }


def clip_link(
    results: Path, root: Path, path: str, start_s: float = float("nan"), end_s: float = float("nan")
) -> str:
    """Return a link from the report to a clip.

    Relative and quoted, so that no path can be a script or leave the page's disk.

    Args:
        results: The folder that the report lies in.
        root: What the clips' paths are relative to.
        path: The clip.
        start_s: Where the utterance begins in it, seconds; ``nan`` for the clip's beginning.
        end_s: Where it ends; ``nan`` for the clip's end.

    >>> clip_link(Path("runs/r"), Path("corpus"), "wav/a b.wav")
    '../../corpus/wav/a%20b.wav'
    >>> clip_link(Path("r"), Path("r"), "javascript:alert(1)")
    './javascript%3Aalert%281%29'
    >>> clip_link(Path("r"), Path("r"), "f.avi", 1.5, 2.0)
    './f.avi#t=1.5,2'
    """
    moment = "" if np.isnan(start_s) else f"#t={start_s:g}"
    if moment and not np.isnan(end_s):
        moment += f",{end_s:g}"
    return relative_link(results, root / path) + moment


def _from_manifest(
    run: FinishedRun, ids: Sequence[str], media_root: Path | None
) -> dict[str, object]:
    """What the corpus says of the rows: text, speaker, session, and where their clips are."""
    if run.manifest is None:
        return {}
    place = {str(name): number for number, name in enumerate(run.manifest.ids.tolist())}
    table = run.manifest.table.iloc[[place[name] for name in ids]]
    found: dict[str, object] = {}
    for name in ("text", "speaker", "session"):
        if (table[name] != "").any():
            found[name] = table[name].astype(str).tolist()
    for modality in ("audio", "video"):
        if not (table[modality] != "").any():
            continue
        if media_root is None:
            found[f"{modality}_path"] = table[modality].astype(str).tolist()
        else:
            found[f"{modality}_link"] = _links(run.folder, media_root, table, modality)
    return found


def _links(results: Path, media_root: Path, table: pd.DataFrame, modality: str) -> list[str]:
    """A link to each row's clip, empty where a row has none."""
    starts = _times(table, modality, "start_s")
    ends = _times(table, modality, "end_s")
    links = []
    for path, start_s, end_s in zip(table[modality].astype(str), starts, ends, strict=True):
        links.append(clip_link(results, media_root, path, start_s, end_s) if path else "")
    return links


def _times(table: pd.DataFrame, modality: str, edge: str) -> list[float]:
    """A modality's own seconds (``meta_video_start_s``) where the corpus has them, or the row's."""
    own = f"meta_{modality}_{edge}"
    column = own if own in table and pd.api.types.is_numeric_dtype(table[own]) else edge
    return [float(value) for value in table[column]]


def _modalities(
    run: FinishedRun, answers: pd.DataFrame, codes: Mapping[str, int]
) -> list[dict[str, object]]:
    """What each modality's own head or probe answers for the same rows, in probabilities."""
    found = []
    for modality in run.modalities:
        for source in (HEAD, PROBE):
            cell = f"{UNIMODAL} {modality} {source}"
            if not len(run.of(cell)):
                continue
            own = run.answers(cell)
            scores = probabilities(own, run.classes)
            if scores is None:
                continue
            own["code"] = [codes[name] for name in own["y_pred"]]
            own["chance"] = scores.max(axis=1)
            joined = answers[["id", "fold"]].merge(
                own[["id", "fold", "code", "chance"]], on=["id", "fold"], how="left"
            )
            found.append(
                {
                    "name": modality,
                    "answer": joined["code"].fillna(-1).astype(int).tolist(),
                    "chance": [_rounded(value) for value in joined["chance"]],
                }
            )
    return found


def _rounded(value: float) -> float | None:
    """JSON knows no ``nan``."""
    return None if np.isnan(value) else round(float(value), DIGITS)
