"""The encoders of fold ``final``: fine-tuned on every row, so what a bundle takes along.

Their vectors carry the labels of all rows. So do those of a fold's encoder the labels of its
training rows, on which classifiers are fitted in cross-validation, too: a classifier over vectors
is the recipe's. What learns from class scores is not: it would learn from scores that are right
nearly always, and is refused.
"""

from __future__ import annotations

from pathlib import Path

from classify.grid.prepared import PreparedGrid
from classify.models.class_scores import MARGIN
from classify.systems.evaluator import score_kind
from classify.systems.expression import Call, Expression, learns_from_scores, walk
from embeddings_store.errors import StoreNotFoundError, UsageError
from embeddings_store.vectors.catalogue import Entry, catalogue
from embeddings_store.vectors.fold_files import FINAL

FROZEN = "any"
OF_THE_PLAN = ("plan", "plan_digest")  # settings by which fold ``final`` differs from a fold
WEIGHTED = "weighted"

__all__ = ["FINAL", "FROZEN", "final_entry", "model_folder", "refuse_learning_from_scores"]


def final_entry(prepared: PreparedGrid, entry: Entry) -> Entry:
    """Return the file of fold ``final`` that was trained as a fold's file was.

    Args:
        prepared: The run.
        entry: The file of one of its folds.

    Raises:
        UsageError: There is none, or its vectors are a mixture of layers.
    """
    for other in catalogue(prepared.config.store, prepared.corpus):
        same = (other.ref.name, other.ref.modality, other.ref.seed)
        if other.fold != FINAL or same != (entry.ref.name, entry.ref.modality, entry.ref.seed):
            continue
        if _without_plan(other) != _without_plan(entry):
            continue
        if other.settings.get("layer") == WEIGHTED:
            raise UsageError(
                f"{entry.ref.folder} mixes its layers by learnt weights, which a bundle cannot "
                "hold yet; fine-tune without --layer weighted"
            )
        return other
    raise UsageError(
        f"the {entry.ref.modality} encoder {entry.ref.folder} was fine-tuned per fold, and a model "
        "takes one that was fine-tuned on all rows in the same way; make it with extract-features "
        f"--corpus {prepared.corpus} --modality {entry.ref.modality} --fold final, the label set "
        "and the options of the folds"
    )


def model_folder(prepared: PreparedGrid, entry: Entry) -> Path:
    """Return where the weights of fold ``final`` lie.

    Raises:
        StoreNotFoundError: They are not in the store any more.
    """
    models = prepared.config.store / prepared.corpus / "models" / entry.ref.folder
    folder = models / f"seed-{entry.ref.seed}" / f"fold-{FINAL}" / "encoder"
    if not folder.is_dir():
        raise StoreNotFoundError(
            f"{folder}: the weights of fold {FINAL} are not there; run extract-features --fold "
            f"{FINAL} again with --overwrite"
        )
    return folder


def refuse_learning_from_scores(node: Expression) -> None:
    """Refuse a system over fine-tuned encoders of which a part learns from class scores.

    Raises:
        UsageError: Which part does.
    """
    learning = [part for part in walk(node) if isinstance(part, Call) and learns_from_scores(part)]
    if not learning and isinstance(node, Call) and score_kind(node) != MARGIN:
        return
    part = learning[0] if learning else node
    why = "learns from class scores" if learning else "answers with margins, to be calibrated"
    raise UsageError(
        f"{part} {why}, and fine-tuned encoders have seen every row, so there are no scores out of "
        "fold to learn from; export a system whose parts learn from vectors and answer with "
        "probabilities, such as nn(concat(audio, text)) or mean(nn(audio), nn(text))"
    )


def _without_plan(entry: Entry) -> dict[str, object]:
    return {name: value for name, value in entry.settings.items() if name not in OF_THE_PLAN}
