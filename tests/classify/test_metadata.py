"""Metadata as a modality.

Which columns are used, and that nothing but training rows shapes their vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from classify.commands.run_fusion_grid import main
from classify.metadata import MOST_CATEGORIES, add_metadata, choose_columns
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UnknownNameError, UsageError
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.fold_data import FoldData, RoleData

N = 30
ROLES = {"train": range(20), "valid": range(20, 25), "test": range(25, N)}


def corpus(**columns: object) -> Manifest:
    rng = np.random.default_rng(0)
    own = {
        "meta_age": [str(v) for v in rng.integers(20, 60, N)],
        "meta_sex": rng.choice(["f", "m"], N).tolist(),
        "meta_topic": [f"topic {i % 4}" for i in range(N)],
        "meta_cause": rng.choice(["loss", "joy"], N).tolist(),
        "meta_free": [f"words {i}" for i in range(N)],
    } | columns
    tags = {"meta_age": "safe", "meta_sex": "safe", "meta_topic": "context", "meta_cause": "leaky"}
    return Manifest.from_columns(
        "c",
        {"id": [f"u{i:02d}" for i in range(N)], "label": ["sad", "glad"] * (N // 2), **own},
        tags={c: t for c, t in tags.items() if c in own},
    )


def fold(manifest: Manifest) -> FoldData:
    labels = LabelSet("two", ("glad", "sad"))
    y = labels.encode(manifest.column("label"))

    def role(name: str) -> RoleData:
        rows = np.array(ROLES[name])
        return RoleData(
            manifest.ids[rows],
            y[rows],
            np.array([""] * len(rows)),
            {},
            {},
            {},
            np.zeros(len(rows), dtype=bool),
        )

    return FoldData("c", "p", "d", 1, labels, {}, role("train"), role("valid"), role("test"))


def vectors(data: FoldData, role: str) -> np.ndarray:
    return data.role(role).vectors["metadata"]


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        (["safe"], ("meta_age", "meta_sex")),
        (["safe", "context"], ("meta_age", "meta_sex", "meta_topic")),
        (["leaky"], ("meta_cause",)),
        (["unknown"], ("meta_free",)),
        (["sex", "meta_topic"], ("meta_sex", "meta_topic")),
    ],
)
def test_tags_and_names_become_columns(asked: list[str], columns: tuple[str, ...]) -> None:
    assert choose_columns(corpus(), asked).columns == columns


def test_text_is_left_to_a_text_encoder() -> None:
    long = corpus(meta_free=[f"words {i}" for i in range(N)])
    many = Manifest.from_columns(
        "c",
        {
            "id": [str(i) for i in range(100)],
            "meta_free": [f"words {i}" for i in range(100)],
            "meta_few": ["a"] * 100,
        },
        tags={"meta_free": "safe", "meta_few": "safe"},
    )
    assert choose_columns(long, ["free"]).columns == (
        "meta_free",
    )  # As few kinds as this are words.
    assert MOST_CATEGORIES < 100
    chosen = choose_columns(many, ["safe"])
    assert chosen.columns == ("meta_few",) and chosen.left_out == ("meta_free",)
    with pytest.raises(UsageError, match="--text-column meta_free"):
        choose_columns(many, ["free"])


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("meta_agee", UnknownNameError, "did you mean"),
        ("context", UsageError, "no context metadata"),
    ],
)
def test_names_that_do_not_exist(asked: str, error: type[Exception], message: str) -> None:
    table = corpus().table[["id", "label", "meta_age"]]
    with pytest.raises(error, match=message):
        choose_columns(Manifest("c", table, tags={"meta_age": "safe"}), [asked])


def test_equals_plain_scikit_learn_on_training_rows() -> None:
    manifest = corpus()
    data = add_metadata(fold(manifest), manifest, choose_columns(manifest, ["age", "topic"]))
    table = manifest.table
    age, topic = table["meta_age"].astype(float).to_numpy(), table[["meta_topic"]]
    train, test = np.array(ROLES["train"]), np.array(ROLES["test"])
    one_hot = OneHotEncoder(sparse_output=False).fit(topic.iloc[train])
    expected = np.column_stack(
        [(age[test] - age[train].mean()) / age[train].std(), one_hot.transform(topic.iloc[test])]
    )
    np.testing.assert_allclose(vectors(data, "test"), expected, rtol=1e-6)
    assert data.views["metadata"] == EncoderRef(
        "metadata", data.views["metadata"].fingerprint, "metadata"
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_other_roles_shape_nothing(seed: int) -> None:
    """Whatever validation and test rows hold, training vectors and other rows' are the same."""
    manifest, rng = corpus(), np.random.default_rng(seed)
    chosen = ["age", "topic"]
    table = manifest.table.copy()
    others = np.array([*ROLES["valid"], *ROLES["test"]])
    table.loc[others[1:], "meta_age"] = [str(v) for v in rng.integers(-1000, 1000, len(others) - 1)]
    table.loc[others[1:], "meta_topic"] = rng.choice(["new", "", "topic 1"], len(others) - 1)
    changed = Manifest("c", table, manifest.labels, tags=manifest.tags)
    one = add_metadata(fold(manifest), manifest, choose_columns(manifest, chosen))
    other = add_metadata(fold(changed), changed, choose_columns(changed, chosen))
    np.testing.assert_array_equal(vectors(one, "train"), vectors(other, "train"))
    np.testing.assert_array_equal(vectors(one, "valid")[0], vectors(other, "valid")[0])


def test_missing_cells_and_rows() -> None:
    ages = ["", *[str(30 + i) for i in range(N - 2)], ""]
    topics = ["topic 0", *["topic 1"] * (N - 3), "never trained on", ""]
    manifest = corpus(meta_age=ages, meta_topic=topics)
    data = add_metadata(fold(manifest), manifest, choose_columns(manifest, ["age", "topic"]))
    assert data.test.present["metadata"].tolist() == [True] * 4 + [False]
    assert (
        np.isnan(vectors(data, "test")[-1]).all() and np.isfinite(vectors(data, "test")[:-1]).all()
    )
    _age, missing, first, second = vectors(data, "train")[0]
    assert (missing > 0, first, second) == (True, 1, 0)
    assert vectors(data, "test")[3, 2:].tolist() == [0, 0]  # A kind that no training row holds.


def test_training_rows_without_any_column() -> None:
    manifest = corpus(meta_topic=[""] * 20 + ["topic 1"] * 10)
    with pytest.raises(FoldError, match="none of its 20 training rows has meta_topic"):
        add_metadata(fold(manifest), manifest, choose_columns(manifest, ["context"]))


def test_changed_cells_change_the_reference() -> None:
    manifest = corpus()
    changed = corpus(meta_topic=["other"] * N)
    refs = [choose_columns(m, ["context"]).ref(m) for m in (manifest, corpus(), changed)]
    assert refs[0] == refs[1] != refs[2]
    assert pd.Series([r.fingerprint for r in refs]).nunique() == 2


@pytest.fixture
def store(make_store: Callable[..., Path]) -> Path:
    """``meta_age`` says a little of the label, ``meta_cause`` all, ``meta_note`` who knows what."""
    folder = make_store(widths={"audio": 6, "text": 6}, apart=0.4, missing={"audio": 5})
    manifest = Manifest.load(folder / "toy")
    codes, rng = manifest.codes(), np.random.default_rng(3)
    table = manifest.table.assign(
        meta_age=(30 + 5 * codes + rng.normal(0, 6, len(codes))).round(),
        meta_sex=rng.choice(["f", "m"], 90),
        meta_cause=np.array(["loss", "insult", "gift"])[codes],
        meta_note=rng.choice(["a", "b"], 90),
    )
    replace(
        manifest, table=table, tags={"meta_age": "safe", "meta_sex": "safe", "meta_cause": "leaky"}
    ).save(folder / "toy")
    return folder


def run(store: Path, out: Path, *options: str) -> pd.DataFrame:
    assert (
        main(
            [
                "--store",
                str(store),
                "--out",
                str(out),
                "--classifiers",
                "svm",
                "--jobs",
                "1",
                *options,
            ]
        )
        == 0
    )
    return pd.read_csv(out / "grid.csv", keep_default_na=False)


def accuracy_of(
    rows: pd.DataFrame, modalities: str, family: str = "unimodal", classifier: str = "svm"
) -> float:
    kept = rows[
        (rows["modalities"] == modalities)
        & (rows["family"] == family)
        & (rows["classifier"] == classifier)
    ]
    return float(kept["WA"].astype(float).mean())


def test_the_grid_fuses_it_like_any_modality(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(
        store, tmp_path / "safe", "--metadata", "safe", "--early", "concatenation", "--late", "sum"
    )
    assert {"metadata", "audio+text+metadata"} <= set(rows["modalities"])
    assert set(rows.loc[rows["modalities"] == "metadata", "metadata"]) == {"meta_age+meta_sex"}
    assert set(rows.loc[rows["modalities"] == "text", "metadata"]) == {""}
    assert set(rows["claim"]) == {"result"}
    assert accuracy_of(rows, "metadata") > 0.4
    printed = capsys.readouterr().out
    assert "LEAKY" not in printed and "metadata is meta_age (safe), meta_sex (safe)" in printed


def test_equals_a_plain_script(store: Path, tmp_path: Path) -> None:
    rows = run(store, tmp_path / "out", "--metadata", "safe", "--modalities", "metadata")
    manifest = Manifest.load(store / "toy")
    plan, X = make_plan(manifest), []
    age, sex = (
        manifest.table["meta_age"].to_numpy(),
        (manifest.table["meta_sex"] == "f").to_numpy(dtype=float),
    )
    for fold in plan:
        train, test = fold.mask("train"), fold.mask("test")
        both = np.column_stack([age, sex, 1 - sex])
        scaler = StandardScaler().fit(both[train])
        y = manifest.codes()
        X.append(
            (
                SVC()
                .fit(scaler.transform(both[train]), y[train])
                .predict(scaler.transform(both[test]))
                == y[test]
            ).mean()
        )
    assert accuracy_of(rows, "metadata") == pytest.approx(np.mean(X), abs=1e-9)


@pytest.mark.parametrize(
    ("options", "column"),
    [(("--metadata", "leaky"), "meta_cause"), (("--metadata", "note"), "meta_note")],
)
def test_what_may_explain_the_label_is_stamped_on_every_output(
    store: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    column: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "leaky"
    rows = run(store, out, *options, "--early", "concatenation", "--late", "none")
    printed = capsys.readouterr().out
    assert set(rows["claim"]) == {"leaky metadata"}
    assert (
        printed.count(f"*** LEAKY METADATA: {column}") == 2
        and "LEAKY METADATA, no result" in printed
    )
    for table in sorted(out.glob("table*.csv")):
        assert "leaky metadata" in table.read_text(), table
    assert pq.read_schema(out / "predictions.parquet").metadata[b"claim"] == b"leaky metadata"
    if column == "meta_cause":
        assert accuracy_of(rows, "metadata") == 1.0


def test_stamped_and_fair_results_do_not_share_a_folder(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(store, tmp_path / "out", "--metadata", "safe", "--early", "concatenation", "--late", "none")
    assert main(["--store", str(store), "--out", str(tmp_path / "out"), "--metadata", "leaky"]) == 2
    assert "--out" in capsys.readouterr().err


def test_metadata_has_to_be_asked_for(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(store, tmp_path / "out", "--early", "concatenation", "--late", "none")
    assert set(rows["modalities"]) == {"", "audio", "text", "audio+text"} and set(
        rows["metadata"]
    ) == {""}
    assert main(["--store", str(store), "--modalities", "text", "metadata"]) == 2
    assert "--metadata safe" in capsys.readouterr().err


@pytest.mark.telling
def test_the_ablation_says_what_each_group_is_worth(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert (
        main(
            [
                "--store",
                str(store),
                "--out",
                str(out),
                "--classifiers",
                "svm",
                "--jobs",
                "1",
                "--metadata-ablation",
            ]
        )
        == 0
    )
    table = pd.read_csv(out / "metadata_ablation.csv", keep_default_na=False, na_values=[""])
    assert table["group"].tolist() == ["none", "safe", "leaky", "unknown", "safe+leaky+unknown"]
    assert table["claim"].tolist() == ["result", "result", *["leaky metadata"] * 3]
    lines = table.set_index("group")
    assert (
        lines.loc["leaky", "WA"] > 0.9 > lines.loc["safe", "WA"] and lines.loc["leaky", "low"] > 0.2
    )
    assert lines.loc["leaky", "difference"] == pytest.approx(
        lines.loc["leaky", "WA"] - lines.loc["none", "WA"], abs=0.02
    )
    assert (
        np.isnan(lines.loc["none", "difference"])
        and lines.loc["leaky", "p_holm"] >= lines.loc["leaky", "p"]
    )
    assert set(lines["models"]) == {"these fitted models"} and lines.loc["leaky", "detectable"] > 0
    early = run(
        store, tmp_path / "grid", "--metadata", "safe", "--early", "concatenation", "--late", "none"
    )
    assert accuracy_of(early, "audio+text+metadata", "early") == pytest.approx(
        lines.loc["safe", "WA"], abs=1e-12
    )
    assert "LEAKY METADATA, no result" in capsys.readouterr().out


def test_an_ablation_needs_metadata(
    make_store: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--store", str(make_store()), "--metadata-ablation"]) == 2
    assert "has no metadata to add" in capsys.readouterr().err
