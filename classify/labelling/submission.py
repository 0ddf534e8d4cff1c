"""Labels of the rows that have none: one line each, or per video where rows are windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from classify.bundle.bundle import Bundle
from classify.labelling.aggregate import label_file
from classify.labelling.stored_views import load_views
from embeddings_store.atomic import replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.windows import clips_of
from embeddings_store.errors import UsageError

OWN_ID = "meta_id"  # what the corpus' own table calls a row, where its id had to be another


@dataclass(frozen=True, slots=True)
class Submission:
    """What was written.

    Attributes:
        rows: How many lines.
        unanswered: Ids that have nothing to answer from; their label is empty.
        tied: Ids between whose labels the rule cannot decide; likewise.
    """

    rows: int
    unanswered: tuple[str, ...]
    tied: tuple[str, ...]


def require_unlabelled(manifest: Manifest) -> None:
    """Refuse a corpus in which every row has a label.

    Raises:
        UsageError: It does.
    """
    if manifest.given("label").all():
        raise UsageError(
            f"every row of corpus {manifest.name!r} has a label, so there is nothing to submit"
        )


def write_submission(
    path: Path, bundle: Bundle, store: Path, manifest: Manifest, rule: str = "mean"
) -> Submission:
    """Label what has no label, and write ``id,label,confidence``.

    The id is that of the corpus' own table (``meta_id``) where there is one, else the row's or its
    clip's. The confidence is the label's mean probability.

    Args:
        path: The file.
        bundle: The fitted system.
        store: The store with the corpus' vectors.
        manifest: The corpus.
        rule: From windows to one label, a name of :data:`classify.labelling.aggregate.RULES`.

    Raises:
        StoreError: A file of the store is damaged.
        StoreFullError, StoreAccessError: It cannot be written.
    """
    views = load_views(bundle, store, manifest)
    scores = views.answer(bundle)
    chances = bundle.system.probabilities(scores)
    answered = bundle.system.answerable(views.present)
    unlabelled = np.flatnonzero(~manifest.given("label"))
    names = clips_of(manifest)
    own = manifest.column(OWN_ID) if OWN_ID in manifest.table else names
    lines, unanswered, tied = [], [], []
    for name, places in pd.Series(unlabelled).groupby(names[unlabelled], sort=False):
        rows = places.to_numpy()
        at = rows[answered[rows]]
        label, confidence = "", float("nan")
        if not len(at):
            unanswered.append(str(name))
        else:
            found = label_file(rule, scores.labels[at], chances[at])
            confidence = found.confidence
            if found.code < 0:
                tied.append(str(name))
            else:
                label = bundle.labels.classes[found.code]
        lines.append({"id": own[rows[0]], "label": label, "confidence": confidence})
    with replacing(path) as temporary:
        pd.DataFrame(lines).to_csv(temporary, index=False, lineterminator="\n")
    return Submission(len(lines), tuple(unanswered), tuple(tied))
