"""Missing rows are a leak where they tell the label, and never because rows come in groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classify.leakage.case import AuditCase, VectorFile
from classify.leakage.finding import CAUTION, CLEAN, LEAK, NOT_CHECKED
from classify.leakage.independence import p_independent, strata_of
from classify.leakage.missing_rows import missing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan
from embeddings_store.vectors.arrays import EncoderRef

ROWS, OF_A_DIALOGUE = 240, 8
TRIALS = 30


def case_of(
    labels: np.ndarray,
    *,
    lost: np.ndarray | None = None,
    speakers: int = 4,
    groups: np.ndarray | None = None,
    views: int = 1,
) -> AuditCase:
    """Return an evaluation in speaker folds whose first view lacks some rows."""
    row = np.arange(len(labels))
    who = row * speakers // len(labels)
    columns = {
        "id": np.array([f"u{i:04d}" for i in row], dtype=object),
        "label": labels,
        "text": np.array(["words"] * len(labels), dtype=object),
        "speaker": np.array([f"S{i}" for i in who], dtype=object),
        "group": np.array(
            [
                f"S{s}-d{g}"
                for s, g in zip(who, dialogues() if groups is None else groups, strict=True)
            ],
            dtype=object,
        ),
    }
    manifest = Manifest.from_columns("toy", columns)
    folds = []
    for number in range(speakers):
        roles = np.where(who == number, ROLE_CODE["test"], ROLE_CODE["train"]).astype(np.uint8)
        folds.append(Fold(number + 1, f"S{number}", roles))
    plan = FoldPlan("by speaker", "none", manifest.ids, tuple(folds))
    numbers = frozenset(fold.number for fold in plan)
    files = []
    for place in range(views):
        ok = np.ones(len(labels), dtype=bool)
        if lost is not None and not place:
            ok[lost] = False
        ref = EncoderRef(f"enc{place}", f"{place}" * 12, f"view{place}")
        no, silent = np.full(len(labels), "no"), np.zeros(len(labels), dtype=bool)
        files.append(
            VectorFile(Path(), ref, ref.modality, "any", numbers, no, ok, silent, None, {})
        )
    return AuditCase(manifest, plan, tuple(files))


def dialogues() -> np.ndarray:
    """Return which dialogue each row is of."""
    return np.arange(ROWS) // OF_A_DIALOGUE


def balanced(classes: int, rng: np.random.Generator) -> np.ndarray:
    """Return equally many labels of each class in any order."""
    names = np.array([f"c{code:02d}" for code in range(classes)], dtype=object)
    return names[rng.permutation(np.arange(ROWS) % classes)]


def with_rare_class(rng: np.random.Generator) -> np.ndarray:
    """Return two classes and a third of which each speaker has two rows."""
    labels = balanced(2, rng)
    labels[:: ROWS // 8] = "rare"
    return labels


def by_speaker(rng: np.random.Generator) -> np.ndarray:
    """Return labels of which every speaker prefers another."""
    preferred = np.arange(ROWS) * 4 // ROWS
    any_label = rng.integers(4, size=ROWS)
    return np.array([f"c{code}" for code in np.where(rng.random(ROWS) < 0.7, preferred, any_label)])


def at_random(rng: np.random.Generator) -> np.ndarray:
    return rng.random(ROWS) < 0.2


def whole_dialogues(rng: np.random.Generator) -> np.ndarray:
    return np.isin(dialogues(), rng.choice(ROWS // OF_A_DIALOGUE, 6, replace=False))


def worse_for_some_speakers(rng: np.random.Generator) -> np.ndarray:
    rates = np.array([0.0, 0.1, 0.5, 0.9])[np.arange(ROWS) * 4 // ROWS]
    return rng.random(ROWS) < rates


CLEAN_LABELS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "two classes": lambda rng: balanced(2, rng),
    "three classes": lambda rng: balanced(3, rng),
    "fifty classes": lambda rng: balanced(50, rng),
    "a rare class": with_rare_class,
    "every speaker has a label": by_speaker,
    "dialogues of one label": lambda rng: np.repeat(balanced(3, rng)[: ROWS // 8], OF_A_DIALOGUE),
}


@pytest.mark.parametrize("speakers", [3, 4])
@pytest.mark.parametrize("losing", [at_random, whole_dialogues, worse_for_some_speakers])
@pytest.mark.parametrize("labelling", CLEAN_LABELS)
def test_rows_that_are_lost_whatever_their_label_are_no_leak(
    labelling: str, losing: Callable[[np.random.Generator], np.ndarray], speakers: int
) -> None:
    p_values = []
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        labels, lost = CLEAN_LABELS[labelling](rng), losing(rng)
        _, codes = np.unique(labels, return_inverse=True)
        who = np.arange(ROWS) * speakers // ROWS
        p_values.append(p_independent(strata_of(codes, lost, dialogues(), who)))
    # of 30 fair p values none is below a thousandth, and few below a twentieth
    assert min(p_values) > 0.001
    assert (np.array(p_values) < 0.05).sum() <= 6
    found = missing(case_of(labels, lost=lost, speakers=speakers))
    assert found.verdict == CAUTION


def test_forty_per_cent_without_a_label_is_a_caution() -> None:
    labels = balanced(3, np.random.default_rng(0))
    labels[np.random.default_rng(1).random(ROWS) < 0.4] = ""
    found = missing(case_of(labels))
    assert found.verdict == CAUTION
    assert found.share == (labels == "").mean()
    assert "have no label" in found.number


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("speakers", [3, 4])
def test_rows_of_one_class_that_are_lost_are_a_leak(classes: int, speakers: int) -> None:
    labels = balanced(classes, np.random.default_rng(2))
    lost = np.flatnonzero(labels == "c01")[::2][:12]
    found = missing(case_of(labels, lost=lost, speakers=speakers))
    assert found.verdict == LEAK
    assert f"{len(lost)} of {ROWS} test rows" in found.number
    assert "100.0 % are c01" in found.number
    assert found.details["p"] < 0.001


def test_lost_dialogues_of_one_label_are_a_leak_where_they_are_many() -> None:
    labels = np.repeat(np.array(["c0", "c1"], dtype=object)[np.arange(30) % 2], OF_A_DIALOGUE)
    lost = labels == "c1"
    found = missing(case_of(labels, lost=lost))
    assert found.verdict == LEAK


def test_few_missing_rows_are_clean_and_their_number_is_said() -> None:
    labels = balanced(2, np.random.default_rng(0))
    found = missing(case_of(labels))
    assert (found.verdict, found.share) == (CLEAN, 0.0)
    row = np.arange(4 * ROWS)
    many = np.array(["c0", "c1"], dtype=object)[row % 2]
    found = missing(case_of(many, lost=np.array([5, 500]), groups=row // OF_A_DIALOGUE))
    assert found.verdict == CLEAN
    assert found.number.startswith("2 of 960 test rows")


def test_more_than_one_per_cent_of_one_fold_is_a_caution() -> None:
    row = np.arange(4 * ROWS)
    many = np.array(["c0", "c1"], dtype=object)[row % 2]
    found = missing(case_of(many, lost=np.array([3, 12, 20]), groups=row // OF_A_DIALOGUE))
    assert found.share is not None and found.share < 0.01
    assert found.verdict == CAUTION
    assert "3 of 240" in found.number


def test_what_each_view_lacks_is_told_apart_from_lacking_everything() -> None:
    labels = balanced(2, np.random.default_rng(0))
    found = missing(case_of(labels, lost=np.arange(0, ROWS, 9), views=2))
    assert "27 lack view0" in found.number
    assert "any vector" not in found.number


def test_without_vectors_nothing_is_checked() -> None:
    case = case_of(balanced(2, np.random.default_rng(0)), views=0)
    assert missing(case).verdict == NOT_CHECKED
