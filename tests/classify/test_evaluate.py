"""A system is what a few lines of scikit-learn would compute.

No row is answered with what was learnt from its own label.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from classify.grid.compute import compute
from classify.models.probe import FIXED_C, PROBE_ITERATIONS, fit_probe
from classify.systems.cell import Cell
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.fold_data import FoldData, RoleData

CLASSES = ("anger", "happiness", "sadness")
WIDTHS = {"audio": 5, "text": 4, "video": 3}


def role(
    name: str, rows: int, seed: int, *, heads: tuple[str, ...] = (), fitted: bool = False
) -> RoleData:
    rng, y = np.random.default_rng(seed), np.arange(rows) % 3
    centres = {m: np.random.default_rng(99 + w).normal(size=(3, w)) for m, w in WIDTHS.items()}
    vectors = {
        m: (centres[m][y] + rng.normal(size=(rows, w))).astype(np.float32)
        for m, w in WIDTHS.items()
    }
    ids, groups = (
        np.array([f"{name}{kind}{i // size}" for i in range(rows)])
        for kind, size in (("", 1), ("-g", 6))
    )
    return RoleData(
        ids,
        y,
        groups,
        vectors,
        {m: (np.eye(3)[y] * 2 + rng.normal(size=(rows, 3))).astype(np.float32) for m in heads},
        {m: np.ones(rows, dtype=bool) for m in WIDTHS},
        np.full(rows, fitted),
    )


@pytest.fixture
def data() -> FoldData:
    return fold()


@pytest.fixture
def one_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave probes one strength to choose, for plain scripts that choose none.

    tests/classify/test_probe.py compares the choice itself.
    """
    monkeypatch.setattr("classify.models.probe.PROBE_GRID", (FIXED_C,))


def fold(**how: object) -> FoldData:
    parts = [
        role(name, rows, seed, **({**how, "fitted": bool(how.get("fitted")) and name == "train"}))  # type: ignore[arg-type]
        for seed, (name, rows) in enumerate((("train", 60), ("valid", 36), ("test", 30)))
    ]
    views = {m: EncoderRef(f"enc-{m}", "0" * 12, m) for m in WIDTHS}
    return FoldData("toy", "split", "0" * 12, 1, LabelSet("toy", CLASSES), views, *parts)


def system(expression: str) -> Cell:
    return Cell(
        "system", "mine", tuple(m for m in WIDTHS if m in expression), "mean", expression=expression
    )


def values(expression: str, data: FoldData, role: str = "test", **how: object) -> np.ndarray:
    found = compute(system(expression), data, **how).reported(role)  # type: ignore[arg-type]
    return np.exp(found.values) if found.kind == "log-probability" else found.values


def columns(name: str) -> FunctionTransformer:
    start = [0, *np.cumsum(list(WIDTHS.values()))]
    place = list(WIDTHS).index(name)
    return FunctionTransformer(lambda X: X[:, start[place] : start[place + 1]])


def wide(rows: RoleData) -> np.ndarray:
    return np.hstack([rows.vectors[m] for m in WIDTHS])


def probe(name: str) -> object:
    return make_pipeline(
        columns(name), StandardScaler(), LogisticRegression(C=FIXED_C, max_iter=PROBE_ITERATIONS)
    )


def splits(rows: RoleData) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(GroupKFold(5).split(rows.y, groups=rows.groups))


@pytest.mark.usefixtures("one_strength")
def test_stacking_is_that_of_scikit_learn(data: FoldData) -> None:
    plain = StackingClassifier(
        [(m, probe(m)) for m in WIDTHS], LogisticRegression(max_iter=2000), cv=splits(data.train)
    )
    plain.fit(wide(data.train), data.train.y)
    np.testing.assert_allclose(
        values("stack(audio, text, video)", data), plain.predict_proba(wide(data.test)), atol=1e-4
    )


@pytest.mark.usefixtures("one_strength")
def test_stacking_on_validation_rows_is_that_of_scikit_learn(data: FoldData) -> None:
    plain = StackingClassifier(
        [(m, probe(m).fit(wide(data.train), data.train.y)) for m in WIDTHS],
        LogisticRegression(max_iter=2000),
        cv="prefit",
    ).fit(wide(data.valid), data.valid.y)
    found = values("stack(audio, text, video, fit_rows=valid)", data)
    np.testing.assert_allclose(found, plain.predict_proba(wide(data.test)), atol=1e-4)


def calibrated_svm(data: FoldData, names: tuple[str, ...]) -> np.ndarray:
    """A calibrated SVM over concatenated modalities, as a plain script has it."""
    X, X_test = (np.hstack([rows.vectors[m] for m in names]) for rows in (data.train, data.test))
    svm = make_pipeline(StandardScaler(), SVC(break_ties=True))
    margins = cross_val_predict(
        svm, X, data.train.y, cv=splits(data.train), method="decision_function"
    )
    calibration = LogisticRegression(max_iter=2000).fit(margins, data.train.y)
    return calibration.predict_proba(svm.fit(X, data.train.y).decision_function(X_test))


def test_two_early_groups_joined_late_are_a_plain_script(data: FoldData) -> None:
    found = values("mean(svm(concat(audio, text)), svm(concat(video, text)))", data)
    plain = (calibrated_svm(data, ("audio", "text")) + calibrated_svm(data, ("video", "text"))) / 2
    np.testing.assert_allclose(found, plain, atol=1e-4)


@pytest.mark.usefixtures("one_strength")
def test_a_classifier_over_scores_is_a_plain_script(data: FoldData) -> None:
    oof = [
        cross_val_predict(
            probe(m), wide(data.train), data.train.y, cv=splits(data.train), method="predict_proba"
        )
        for m in ("audio", "text")
    ]
    fitted = [
        probe(m).fit(wide(data.train), data.train.y).predict_proba(wide(data.test))
        for m in ("audio", "text")
    ]
    scaler = StandardScaler().fit(oof[0] + oof[1])
    plain = SVC(break_ties=True).fit(scaler.transform(oof[0] + oof[1]), data.train.y)
    found = values("svm(sum(scores(audio), scores(text)))", data)
    np.testing.assert_allclose(
        found, plain.decision_function(scaler.transform(fitted[0] + fitted[1])), atol=1e-3
    )


@pytest.mark.parametrize(
    ("family", "method", "classifier", "expression"),
    [
        ("unimodal", "", "svm", "svm(audio)"),
        ("unimodal", "", "probe", "probe(audio)"),
        ("unimodal", "", "head", "head(audio)"),
        ("early", "concatenation", "nn", "nn(concat(audio, text))"),
        ("early", "sum[pca:2]", "svm", "svm(sum(audio, text, project=pca:2))"),
        (
            "late",
            "concatenation",
            "svm",
            "svm(concat(scores(audio), scores(text)), fit_rows=train)",
        ),
        ("late", "gate", "rule", "gate(audio, text)"),
        ("baseline", "", "majority", "majority(concat(audio, text))"),
    ],
)
def test_every_cell_can_be_written_down(
    family: str, method: str, classifier: str, expression: str
) -> None:
    data = fold(heads=("audio",))
    modalities = ("audio",) if family == "unimodal" else ("audio", "text")
    cell, written = (
        compute(Cell(family, method, modalities, classifier), data),
        compute(system(expression), data),
    )
    for role in ("train", "valid", "test"):
        np.testing.assert_array_equal(cell.reported(role).values, written.reported(role).values)


@pytest.mark.parametrize(
    ("expression", "fitted", "learnt"),
    [
        ("stack(audio, text)", False, "oof"),
        ("stack(audio, text)", True, "valid"),
        ("gate(svm(audio), nn(text))", False, "oof"),
        ("mean(audio, text)", True, ""),
        ("weighted(audio, text, fit_rows=train)", True, "train"),
        ("stack(mean(audio, text), svm(video), fit_rows=valid)", False, "valid, oof"),
    ],
)
def test_what_is_learnt_from_is_said(expression: str, fitted: bool, learnt: str) -> None:
    assert (
        compute(system(expression), fold(fitted=fitted), settings={}).facts["learnt_on"] == learnt
    )


def test_heads_are_not_learnt_from_where_they_were_trained() -> None:
    data = fold(heads=("audio", "text"))
    assert compute(system("stack(audio, text)"), data).facts["learnt_on"] == "valid"
    with pytest.raises(UsageError, match=r"head\(audio\) was trained on the training rows"):
        compute(system("stack(audio, text, fit_rows=oof)"), data)
    inner = replace(data, train=replace(data.train, inner_scores=data.train.scores))
    assert compute(system("stack(audio, text)"), inner).facts["learnt_on"] == "oof"
    with pytest.raises(FoldError, match="there are no validation rows"):
        compute(
            system("stack(audio, text)"),
            replace(data, valid=role("valid", 0, 1, heads=("audio", "text"))),
        )


@pytest.mark.parametrize(
    ("rows", "expression"),
    [
        ("valid", "stack(audio, text)"),
        ("valid", "weighted(svm(audio), text)"),
        ("valid", "gate(stack(audio, text), svm(video))"),
        ("valid", "svm(concat(probe(audio), text))"),
        ("train", "gate(audio, text)"),
        ("train", "svm(concat(probe(audio), text))"),
    ],
)
@pytest.mark.usefixtures("one_strength")  # a choice of its own in every split takes half a minute
def test_no_row_is_answered_with_its_own_group_s_labels(expression: str, rows: str) -> None:
    """Labels of one group are turned.

    What is learnt changes, and that group's honest answers do not.
    """
    mode = "valid" if rows == "valid" else "oof"
    data = fold()
    part = getattr(data, rows)
    group = part.groups == part.groups[0]
    turned = replace(data, **{rows: replace(part, y=np.where(group, (part.y + 1) % 3, part.y))})
    if rows == "valid":
        one, two = (values(expression, d, "valid", fit_rows=mode) for d in (data, turned))
    else:  # as the input of something that learns from it
        one, two = (values_out_of_fold(expression, d) for d in (data, turned))
    np.testing.assert_allclose(one[group], two[group], atol=1e-12)
    assert np.abs(one[~group] - two[~group]).max() > 1e-6


def values_out_of_fold(expression: str, data: FoldData) -> np.ndarray:
    from classify.systems.evaluator import Evaluator, FitRows
    from classify.systems.expression import complete
    from classify.systems.parser import parse

    node = complete(parse(expression), dict.fromkeys(WIDTHS, "probe"))
    at = np.cumsum([0, *(len(data.role(r)) for r in ("train", "valid", "test"))])
    evaluator = Evaluator(
        RoleData.join([data.train, data.valid, data.test]), 3, default_fit_mode="oof"
    )
    return evaluator.out_of_fold_output(
        node, FitRows(np.arange(at[0], at[1]), np.arange(at[1], at[2]))
    ).values


def test_training_rows_are_scored_by_probes_that_have_not_seen_their_group() -> None:
    data = fold()
    four = replace(
        data,
        train=replace(data.train, groups=np.array([f"g{i % 4}" for i in range(len(data.train))])),
    )
    found, X = values_out_of_fold("probe(audio)", four), data.train.vectors["audio"]
    for group in np.unique(four.train.groups):
        rest = four.train.groups != group  # four groups make four splits: one probe per group
        plain = fit_probe(X[rest], data.train.y[rest], 3, four.train.groups[rest]).scores(X[~rest])
        np.testing.assert_allclose(found[~rest], plain, atol=1e-9)
    alone = replace(data, train=replace(data.train, groups=np.repeat("a", len(data.train))))
    with pytest.raises(FoldError, match="are of one group"):
        values_out_of_fold("probe(audio)", alone)


@pytest.mark.telling
def test_test_labels_change_nothing(data: FoldData) -> None:
    blind = replace(data, test=replace(data.test, y=np.zeros_like(data.test.y)))
    for mode in ("oof", "valid"):
        expression = f"stack(svm(concat(audio, text)), gate(video, text), fit_rows={mode})"
        np.testing.assert_array_equal(values(expression, data), values(expression, blind))


@pytest.mark.usefixtures("one_strength")
def test_a_second_stage_keeps_what_was_learnt_on_valid_rows_honest(data: FoldData) -> None:
    """Weights come from systems without validation rows, answers from systems fitted on both."""
    expression = "weighted(audio, text, fit_rows=valid)"
    one, two = (
        compute(system(expression), data, fit_rows=rows) for rows in ("train", "train+valid")
    )
    assert one.facts["weights"] == two.facts["weights"]
    np.testing.assert_array_equal(one.reported("valid").values, two.reported("valid").values)
    both = LogisticRegression(C=FIXED_C, max_iter=PROBE_ITERATIONS)
    weights = list(two.facts["weights"].values())  # type: ignore[attr-defined]
    plain = 0.0
    for name, weight in zip(("audio", "text"), weights, strict=True):
        X = np.concatenate([data.train.vectors[name], data.valid.vectors[name]])
        scaler = StandardScaler().fit(X)
        both.fit(scaler.transform(X), np.concatenate([data.train.y, data.valid.y]))
        plain = plain + weight * both.predict_proba(scaler.transform(data.test.vectors[name]))
    np.testing.assert_allclose(np.exp(two.reported("test").values), plain, atol=1e-4)


@pytest.mark.parametrize(
    "expression",
    [
        "mean(svm(concat(audio, text)), svm(video))",
        "gate(audio, svm(concat(text, video)))",
        "stack(svm(sum(audio, text, project=linear:2)), video)",
        "svm(concat(product(audio, text, project=pca:2), probe(video)))",
    ],
)
def test_rows_that_lack_modalities_are_answered(data: FoldData, expression: str) -> None:
    def holes(rows: RoleData) -> RoleData:
        number = np.arange(len(rows))
        present = {"audio": number % 5 != 0, "text": number % 7 != 0, "video": number % 3 != 0}
        present["video"] |= ~(present["audio"] | present["text"])
        vectors = {
            m: np.where(present[m][:, None], v, np.nan).astype(np.float32)
            for m, v in rows.vectors.items()
        }
        return replace(rows, present=present, vectors=vectors)

    torn = replace(
        data, **{name: holes(getattr(data, name)) for name in ("train", "valid", "test")}
    )
    found = values(expression, torn)
    assert found.shape == (30, 3)
    assert np.isfinite(found).all()
    assert (found.argmax(axis=1) == torn.test.y).mean() > 0.5
