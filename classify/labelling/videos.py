"""How good a run over windows is per video: ``videos.csv``, by each rule of aggregation.

A video counts as right where its one label is; a video between whose labels a rule cannot decide
has none, and is wrong. Intervals go by speaker, else by group, as everywhere.

An SVM answers with margins, which are no probabilities: there ``mean`` and ``maximum`` are of
margins, and ``weighted`` is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from classify.claim import CLAIM
from classify.evaluation.intervals import LEVEL, cluster_counts, estimate, overall
from classify.evaluation.predictions import CLUSTERS, SEEDS, read_parts
from classify.evaluation.result_files import PREDICTIONS
from classify.labelling.aggregate import RULES, label_file
from classify.models.class_scores import PROBABILITY
from classify.results.files import write_csv
from classify.results.write import GridResult
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.windows import VIDEO, WINDOW, clips_of, is_windowed
from embeddings_store.folds.planned_rows import planned_rows

VIDEOS = "videos.csv"
NO_RULE = ""  # of the line per window
ABOUT = (
    CLAIM,
    "corpus",
    "protocol",
    "split_digest",
    "label_set",
    "labels_shuffled",
    "cell",
    "family",
    "method",
    "modalities",
    "classifier",
    *SEEDS,
)
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Which rows are right or wrong together.

    Attributes:
        by: The column that tells it, or ``clip``.
        codes: Of each row of the corpus (N,).
    """

    by: str
    codes: Codes

    @classmethod
    def of(cls, manifest: Manifest) -> _Clusters:
        labelled = manifest.codes() >= 0
        for column in CLUSTERS:
            names = manifest.named(column)
            if (names[labelled] != "").all():
                return cls(column, pd.factorize(names)[0].astype(np.int64))
        return cls("clip", pd.factorize(clips_of(manifest))[0].astype(np.int64))


def write_videos(result: GridResult) -> Path | None:
    """Write the table beside the others of a run over windows; of another run it is removed.

    Args:
        result: The finished run.

    Returns:
        The file, or none where rows are no windows.

    Raises:
        StoreError: The run's predictions are damaged.
        StoreFullError: The disk is full.
    """
    prepared, out = result.prepared, result.prepared.config.out
    manifest, path = prepared.setup.view, out / VIDEOS
    if not is_windowed(manifest):
        path.unlink(missing_ok=True)
        return None
    answers = _answers(result, manifest)
    about = result.table.rows.drop_duplicates(["cell", *SEEDS])
    planned = _planned_videos(result, manifest)
    lines = []
    for row in about.to_dict("records"):
        key = (str(row["cell"]), int(row["seed"]), str(row["encoder_seed"]))
        named = {name: row[name] for name in ABOUT}
        for (per, rule), part in answers[key].groupby(["per", "rule"], sort=False):
            n_planned = planned if per == VIDEO else int(_n_windows(result, key))
            lines.append({**named, "per": per, "rule": rule, **_figures(part, manifest, n_planned)})
    write_csv(path, pd.DataFrame(lines), prepared.claim)
    return path


def _n_windows(result: GridResult, key: tuple[str, int, str]) -> int:
    """Return how many windows the plan tests in one cell, over all folds."""
    rows = result.table.rows
    of_cell = rows[(rows["cell"] == key[0]) & (rows["seed"] == key[1])]
    return int(of_cell.loc[of_cell["encoder_seed"] == key[2], "n_test"].sum())


def _planned_videos(result: GridResult, manifest: Manifest) -> int:
    """Return how many labelled videos the plan tests, fold by fold."""
    clips, raw = clips_of(manifest), manifest.column("label")
    count = 0
    for fold in result.prepared.plan:
        rows = planned_rows(fold, "test", result.prepared.labels, raw).labelled
        count += len(np.unique(clips[rows]))
    return count


def _answers(result: GridResult, manifest: Manifest) -> dict[tuple[str, int, str], pd.DataFrame]:
    """Return what each cell answered on test rows, per window and per video by each rule."""
    clusters = _Clusters.of(manifest)
    clips, place = clips_of(manifest), pd.Index(manifest.ids)
    found: dict[tuple[str, int, str], list[pd.DataFrame]] = {}
    for part in read_parts(result.prepared.config.out / PREDICTIONS):
        frame = _test_rows(part)
        if frame.empty:
            continue
        rows = place.get_indexer(frame["id"])
        frame = frame.assign(clip=clips[rows], cluster=clusters.codes[rows])
        first = frame.iloc[0]
        key = (str(first["cell"]), int(first["seed"]), str(first["encoder_seed"]))
        windows = frame[["y_true", "y_pred", "cluster"]].assign(per=WINDOW, rule=NO_RULE)
        videos = pd.DataFrame(_videos(frame, list(result.prepared.labels.classes)))
        found.setdefault(key, []).extend([windows, videos])
    return {key: pd.concat(parts) for key, parts in found.items()}


def _test_rows(part: pa.Table) -> pd.DataFrame:
    frame = part.to_pandas()
    return frame[frame["role"].astype(str) == "test"]


def _videos(frame: pd.DataFrame, classes: list[str]) -> Iterator[dict[str, object]]:
    """Yield the label of each video by each rule that the kind of scores allows."""
    scores = frame[[f"score:{name}" for name in classes]].to_numpy(dtype=np.float64)
    labels = _codes(frame["y_pred"], classes)
    are_chances = frame["kind"].iloc[0] == PROBABILITY
    rules = [rule for rule in RULES if are_chances or rule != "weighted"]
    for rows in frame.groupby("clip", sort=False).indices.values():
        # margins may be below 0; what is added to all of a video changes no rule
        own = scores[rows] if are_chances else scores[rows] - scores[rows].min()
        first = frame.iloc[rows[0]]
        for rule in rules:
            code = label_file(rule, labels[rows], own).code
            yield {
                "y_true": first["y_true"],
                "y_pred": classes[code] if code >= 0 else "",
                "cluster": first["cluster"],
                "per": VIDEO,
                "rule": rule,
            }


def _figures(part: pd.DataFrame, manifest: Manifest, n_planned: int) -> dict[str, object]:
    """Return the figures of some answers, with intervals by cluster; no label is a wrong one."""
    assert manifest.labels is not None  # noqa: S101 - the run was scored by it
    classes = list(manifest.labels.classes)
    y_true = _codes(part["y_true"], classes)
    y_pred = _codes(part["y_pred"], classes)
    tied = y_pred < 0
    clusters = _Clusters.of(manifest)
    counts = cluster_counts(
        y_true,
        np.where(tied, len(classes), y_pred),
        part["cluster"].to_numpy(dtype=np.int64),
        int(clusters.codes.max()) + 1,
        len(classes) + 1,
    )
    found: dict[str, object] = {
        "n_scored": len(part),
        "n_planned": n_planned,
        "n_tied": int(tied.sum()),
    }
    for metric in ("WA", "UAR"):
        value = estimate(counts, overall(metric))
        found |= {metric: value.value, f"{metric}_low": value.low, f"{metric}_high": value.high}
    return {**found, "level": LEVEL, "cluster_by": clusters.by, "clusters": value.clusters}


def _codes(names: pd.Series, classes: list[str]) -> Codes:
    """Return class codes (n,), -1 for no label."""
    return np.asarray(pd.Index(classes).get_indexer(names.astype(str)), dtype=np.int64)
