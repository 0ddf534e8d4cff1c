"""How good a saved model is on a labelled corpus that it has not seen.

Classes meet by their names. A row counts where its class is one of the model's; an answer that is
none of the corpus' classes is wrong. Rows that the model was fitted on are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.bundle.bundle import Bundle
from classify.evaluation.intervals import Estimate, cluster_counts, estimate, overall
from classify.evaluation.metrics import completeness, confusion, per_class
from classify.labelling.stored_views import StoredViews, load_views
from embeddings_store.atomic import replacing
from embeddings_store.corpus.groups import group_or_speaker
from embeddings_store.corpus.label_sets import named_labels
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LabelError, LeakError, UsageError, unknown_name

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ModelScore:
    """What a model came to on a corpus; shares are in [0, 1].

    Attributes:
        corpus: The corpus' name.
        classes: The model's classes.
        ids: The rows that were scored (n,).
        y_true: Their class codes (n,), positions in ``classes``.
        y_pred: What the model answered (n,).
        n_labelled: Rows with a label, n or more.
        other_classes: Class of the corpus that the model does not have, to its rows.
        n_unanswered: Rows of the model's classes that lack all of its views.
        n_left_out: Rows that the model has seen, where they were left out.
        n_known_speakers: Scored rows of speakers that it was fitted on, of the same corpus.
        cluster_by: What the interval goes by: ``speaker or group``, or ``row``.
        figures: ``WA`` and ``UAR`` with their intervals.
    """

    corpus: str
    classes: tuple[str, ...]
    ids: NDArray[np.str_]
    y_true: Codes
    y_pred: Codes
    n_labelled: int
    other_classes: Mapping[str, int]
    n_unanswered: int
    n_left_out: int
    n_known_speakers: int
    cluster_by: str
    figures: Mapping[str, Estimate]

    @property
    def coverage(self) -> float:
        """The share of labelled rows that are scored."""
        return len(self.ids) / self.n_labelled

    @property
    def accuracy_of_all(self) -> float:
        """WA_all: the share of labelled rows that are right; what is not scored is wrong."""
        right = float((self.y_true == self.y_pred).mean())
        return float(completeness(right, len(self.ids), self.n_labelled)[1])

    @property
    def counts(self) -> Codes:
        """The confusion (C, C): rows are true classes."""
        return confusion(self.y_true, self.y_pred, self.classes)

    def lines(self) -> list[str]:
        """Return the score in words, a line each."""
        n, classes = len(self.ids), self.classes
        found = [
            f"{self.corpus}: {n} of {self.n_labelled} labelled rows scored, coverage "
            f"{100 * self.coverage:.1f} %"
        ]
        if self.other_classes:
            named = ", ".join(f"{name} {count}" for name, count in self.other_classes.items())
            found.append(f"not scored, because the model has no such class: {named}")
        if self.n_unanswered:
            found.append(f"not scored, because they have no vector: {self.n_unanswered}")
        if self.n_left_out:
            found.append(f"not scored, because the model has seen them: {self.n_left_out}")
        for name, value in self.figures.items():
            interval = "no interval: " + value.why_none
            if not value.why_none:
                interval = f"95 % interval {100 * value.low:.1f} to {100 * value.high:.1f}"
            found.append(f"{name} {100 * value.value:.1f} % ({interval}, by {self.cluster_by})")
        found.append(
            f"WA_all {100 * self.accuracy_of_all:.1f} %, where what is not scored is wrong"
        )
        if self.n_known_speakers:
            found.append(
                f"{self.n_known_speakers} of these rows are of speakers that the model was fitted "
                "on, so the figures are too good for people whom it does not know"
            )
        of_class = per_class(self.y_true, self.y_pred, len(classes))
        for code, name in enumerate(classes):
            if of_class.support[code] or (self.y_pred == code).any():
                found.append(
                    f"  {name}: precision {100 * of_class.precision[code]:.1f}, recall "
                    f"{100 * of_class.recall[code]:.1f}, F1 {100 * of_class.f1[code]:.1f}, "
                    f"{of_class.support[code]} rows"
                )
        return found


def score_model(
    bundle: Bundle,
    store: Path,
    corpus: str,
    *,
    label_set: str = "",
    label_map: Mapping[str, str] | None = None,
    skip_seen: bool = False,
) -> ModelScore:
    """Score a bundle on a labelled corpus of a store.

    Args:
        bundle: The bundle.
        store: The store's folder.
        corpus: The corpus' name there.
        label_set: Name in :mod:`embeddings_store.corpus.label_sets`; empty takes the corpus' own.
        label_map: Class of the corpus to class of the model, where they are called otherwise.
        skip_seen: Leave out the rows that the model has seen instead of refusing.

    Raises:
        LeakError: The model has seen rows of the corpus.
        LabelError: The corpus has no labels, or none of the model's classes.
        UsageError: A class in ``label_map`` does not exist.
        StoreNotFoundError: The store lacks vectors that the model takes.
    """
    manifest = Manifest.load(store / corpus)
    labels = named_labels(label_set, manifest).labels if label_set else manifest.labels
    if labels is None:
        raise LabelError(f"corpus {corpus!r} has no labels, so nothing can be scored on it")
    code_of = _codes_of_classes(bundle, labels, label_map or {})
    own = labels.encode(manifest.column("label"))
    y = np.array([*code_of, -1], dtype=np.int64)[own]
    views = load_views(bundle, store, manifest)
    seen = _seen(bundle, manifest, views)
    answerable = bundle.system.answerable(views.present)
    wanted = y >= 0
    if (seen & wanted & answerable).any() and not skip_seen:
        _refuse(manifest, seen & wanted & answerable)
    rows = np.flatnonzero(wanted & answerable & ~seen)
    if not len(rows):
        raise LabelError(
            f"corpus {corpus!r} has no row that can be scored: {int((own >= 0).sum())} have a "
            f"label, {int(wanted.sum())} of them one of the model's classes "
            f"({', '.join(bundle.labels.classes)}), {int((wanted & answerable).sum())} of these a "
            "vector; name classes with --label-map OLD=NEW"
        )
    y_pred = views.answer(bundle).labels[rows]
    groups = group_or_speaker(manifest)[rows]
    named = bool((groups != "").all())
    clusters = groups if named else manifest.ids[rows]
    other = np.bincount(own[(own >= 0) & (y < 0)], minlength=len(labels.classes))
    of_other = zip(labels.classes, other.tolist(), strict=True)
    speakers = manifest.named("speaker")[rows].tolist()
    return ModelScore(
        corpus,
        bundle.labels.classes,
        manifest.ids[rows],
        y[rows],
        y_pred,
        int((own >= 0).sum()),
        {name: count for name, count in of_other if count},
        int((wanted & ~answerable).sum()),
        int((seen & wanted & answerable).sum()),
        int(bundle.seen.has_speakers(corpus, speakers).sum()),
        "speaker or group" if named else "row",
        _figures(y[rows], y_pred, clusters, len(bundle.labels.classes)),
    )


def read_label_map(text: str) -> dict[str, str]:
    """Read ``OLD=NEW,OLD=NEW``.

    Raises:
        UsageError: It is not of this form.

    >>> read_label_map("fearful=fear, happy=joy")
    {'fearful': 'fear', 'happy': 'joy'}
    """
    found = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        old, equals, new = (piece.strip() for piece in part.partition("="))
        if not (old and equals and new) or old in found:
            raise UsageError(f"--label-map {part!r}: write OLD=NEW, each old class once")
        found[old] = new
    return found


def _codes_of_classes(bundle: Bundle, labels: LabelSet, label_map: Mapping[str, str]) -> list[int]:
    """Return the model's code of each class of the corpus, -1 where it has no such class."""
    for old, new in label_map.items():
        if old not in labels.classes:
            unknown_name("class of the corpus", old, labels.classes)
        if new not in bundle.labels.classes:
            unknown_name("class of the model", new, bundle.labels.classes)
    codes = {name: code for code, name in enumerate(bundle.labels.classes)}
    return [codes.get(label_map.get(name, name), -1) for name in labels.classes]


def _seen(bundle: Bundle, manifest: Manifest, views: StoredViews) -> NDArray[np.bool_]:
    """Say which rows (N,) the model or one of its encoders has seen, under whatever name."""
    seen = views.seen | bundle.seen.has_rows(manifest.name, manifest.ids.tolist())
    for view, inputs in views.inputs.items():
        seen = seen | bundle.seen.has_inputs(view, inputs)
    return np.asarray(seen)


def _refuse(manifest: Manifest, seen: NDArray[np.bool_]) -> None:
    first = str(manifest.ids[np.flatnonzero(seen)[0]])
    raise LeakError(
        f"refused: the model was fitted on {int(seen.sum())} rows of corpus {manifest.name!r} "
        f"(first {first!r}), by their names or by what its encoders were given, so its accuracy "
        "on them says nothing; score it on a corpus that it has not seen, or leave these rows out "
        "with --skip-seen"
    )


def _figures(
    y_true: Codes, y_pred: Codes, clusters: NDArray[np.str_], n_classes: int
) -> dict[str, Estimate]:
    names, codes = np.unique(clusters, return_inverse=True)
    counts = cluster_counts(y_true, y_pred, codes.astype(np.int64), len(names), n_classes)
    return {metric: estimate(counts, overall(metric)) for metric in ("WA", "UAR")}


def write_predictions(score: ModelScore, path: Path) -> None:
    """Write ``id,label,predicted`` of each scored row, whole or not at all.

    Raises:
        StoreFullError, StoreAccessError: It cannot be written.
    """
    import pandas as pd

    classes = np.array(score.classes)
    rows = pd.DataFrame(
        {"id": score.ids, "label": classes[score.y_true], "predicted": classes[score.y_pred]}
    )
    with replacing(path) as temporary:
        rows.to_csv(temporary, index=False)
