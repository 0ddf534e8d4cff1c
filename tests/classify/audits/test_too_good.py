"""Vectors that were made with the labels of all rows are noticed, even of pure noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from classify.leakage.neighbours import comparable
from classify.leakage.too_good import discriminant
from tests.classify.audits.test_vectors import ROWS, Corpus, Vectors

WIDE = 280


def pure_noise() -> tuple[Corpus, Vectors]:
    return Corpus(), np.random.default_rng(0).standard_normal((ROWS, WIDE)).astype(np.float32)


def of_discriminant(noise: Vectors, labels: np.ndarray) -> Vectors:
    """Project onto a discriminant that was fitted on all rows."""
    fitted = LinearDiscriminantAnalysis().fit(noise, labels)
    return np.asarray(fitted.transform(noise), dtype=np.float32)


def of_network(noise: Vectors, labels: np.ndarray) -> Vectors:
    """Return the hidden layer of a network that was trained on all rows."""
    network = MLPClassifier((32,), max_iter=150, random_state=0, tol=1e-3).fit(noise, labels)
    hidden = np.maximum(noise @ network.coefs_[0] + network.intercepts_[0], 0)
    return np.asarray(hidden, dtype=np.float32)


@pytest.mark.parametrize("made", [of_discriminant, of_network])
@pytest.mark.parametrize("seen", ["no", "fit", "unknown"])
def test_vectors_of_noise_that_know_the_labels(
    made: object, seen: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, noise = pure_noise()
    corpus.vectors = made(noise, corpus.columns["label"])  # type: ignore[operator]
    corpus.seen[:] = seen
    found = corpus.audit(tmp_path, capsys)
    told = found["too-good"]
    if seen == "no":
        assert told["verdict"] == "caution" and told["details"]["audio"] > 0.95
        assert "too good to be unseen" in told["means"] and "300 test rows" in told["number"]
    else:  # the check 'seen' has said it already
        assert told["verdict"] == "not checked"
        assert found["seen"]["verdict"] in ("leak", "caution")


def test_noise_itself_is_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, corpus.vectors = pure_noise()
    told = corpus.audit(tmp_path, capsys)["too-good"]
    assert told["verdict"] == "clean" and told["details"]["audio"] < 0.5


def test_it_is_as_right_as_the_grid_s_own_classifier_is() -> None:
    """So that vectors which score 97 to 100 % in the grid do so here."""
    corpus, noise = pure_noise()
    labels = np.unique(corpus.columns["label"], return_inverse=True)[1]
    for width in (120, 200, WIDE):
        made = of_discriminant(noise[:, :width], labels)
        test = np.arange(ROWS) % 4 == 0
        known, asked = np.flatnonzero(~test), np.flatnonzero(test)
        points = comparable(made, known)
        answers = discriminant(points[known], labels[known], points[asked])
        svm = SVC(C=5).fit(points[known], labels[known]).predict(points[asked])
        right, right_svm = (float((a == labels[asked]).mean()) for a in (answers, svm))
        assert right == pytest.approx(right_svm, abs=0.05)


def test_one_class_or_few_rows_are_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus()
    corpus.seen[30:] = "unknown"
    corpus.seen[:20] = "unknown"
    told = corpus.audit(tmp_path, capsys)["too-good"]
    assert told["verdict"] == "not checked" and "30 in all" in told["number"]
