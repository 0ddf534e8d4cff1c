"""Figures show the run's own numbers, say why one is missing, and are the same bytes each time."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classify.evaluation.metrics import summary
from classify.figures import compare, maps, outcome, training
from classify.figures.draw import LeftOut, draw, write
from classify.figures.maps import MapConfig
from classify.figures.palette import COLOURS, class_styles
from classify.figures.results_folder import FinishedRun
from classify.figures.style import Drawing, style
from classify.results.table import SCHEMA
from embeddings_store.errors import StoreError, StoreNotFoundError, UsageError

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.fixture(scope="module")
def run(finished) -> FinishedRun:
    return FinishedRun.read(finished.results, finished.store)


@pytest.fixture(scope="module")
def drawn(run: FinishedRun) -> list[Drawing | LeftOut]:
    return draw(run)


def test_every_figure_of_the_paper_that_two_modalities_allow_is_there(
    drawn: list[Drawing | LeftOut],
) -> None:
    numbers = [d.number for d in drawn if isinstance(d, Drawing) and d.number is not None]
    assert numbers == [1, 2, 3, 5, 6, 8, 9, 11, 12]
    assert {d.name for d in drawn if isinstance(d, Drawing) and d.number is None} == {
        "systems",
        "per_class",
        "reliability",
        "contributions",
    }
    assert [d for d in drawn if isinstance(d, LeftOut)] == []


def test_files_are_equal_each_time_whole_and_no_more_than_these(
    run: FinishedRun, drawn: list[Drawing | LeftOut], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "figure99_of_an_earlier_run.png").touch()
    (tmp_path / "a" / "my own.png").touch()
    some = ("figure02_loss_audio", "figure03_loss_audio", "figure11_pca_all", "figure12_confusion")
    one = write([d for d in drawn if isinstance(d, Drawing) and d.name in some], tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "mine"}):
        two = write(
            [d for d in draw(run) if isinstance(d, Drawing) and d.name in some], tmp_path / "b"
        )
    assert [p.name for p in one] == [p.name for p in two]
    assert {p.name for p in one} | {"my own.png"} == {p.name for p in (tmp_path / "a").iterdir()}
    assert len(one) == 6
    for here, there in zip(one, two, strict=True):
        assert here.read_bytes() == there.read_bytes()
        if here.suffix == ".svg":
            ElementTree.parse(here)
        else:
            with Image.open(here) as image:
                assert min(image.size) > 100


def test_counts_and_confusion_are_those_of_the_run(
    run: FinishedRun, drawn: list[Drawing | LeftOut]
) -> None:
    by_name = {d.name: d for d in drawn if isinstance(d, Drawing)}
    told = by_name["figure01_label_counts"].tips.values()
    assert sum(int(text.rpartition(" ")[2]) for text in told) == 90
    assert "session S1, anger: 10" in told
    counts = pd.read_csv(run.folder / "confusion.csv").filter(like="predicted:").to_numpy()
    texts = list(by_name["figure12_confusion"].tips.values())
    assert [
        int(t.partition(": ")[2].partition(" of ")[0]) for t in texts
    ] == counts.ravel().tolist()


def test_the_kept_epoch_is_ringed_and_the_last_value_told(run: FinishedRun) -> None:
    with style():
        figure = training.accuracy(run, "text")
    assert isinstance(figure, Drawing)
    assert figure.tips["per_cent-fold-1"] == "fold 1 (S0): 73.3 at the end"
    rings = [line for line in figure.figure.axes[0].lines if line.get_markersize() == 11]
    assert [line.get_xdata().tolist() for line in rings] == [
        [8],
        [8],
        [8],
    ]  # best_epoch = 2 of 3, every 4 steps


def test_a_map_shows_one_folds_rows_and_is_fitted_on_its_training_rows(run: FinishedRun) -> None:
    with style():
        figure = maps.embedding_map(run, ["text"], MapConfig(fold=2))
    assert isinstance(figure, Drawing)
    plan = pd.read_parquet(run.folder / "plan.parquet")
    shown = {text.partition(":")[0] for texts in figure.tips.values() for text in texts}
    assert shown == set(plan.loc[plan["fold-2"] == "test", "id"])
    assert "Fold 2 (holds out S1): its 30 test rows" in figure.caption
    rng = np.random.default_rng(0)
    basis, points = rng.normal(size=(40, 6)) * [9, 5, 1, 1, 1, 1], rng.normal(size=(10, 6))
    where, _, _ = maps._project(basis, points, "pca")
    few, _, _ = maps._project(basis, points[:3], "pca")
    np.testing.assert_allclose(where[:3], few)  # what else is shown moves no point


def test_a_map_of_all_modalities_takes_tsne_and_other_rows(run: FinishedRun) -> None:
    with style():
        figure = maps.embedding_map(run, run.modalities, MapConfig(role="valid", method="tsne"))
    assert isinstance(figure, Drawing)
    assert figure.name == "figure11_tsne_all"
    assert "its 30 valid rows" in figure.caption
    with pytest.raises(UsageError, match="--fold 9: the results have the folds 1, 2, 3"):
        maps.embedding_map(run, ["text"], MapConfig(fold=9))


def test_without_a_store_the_figures_that_need_one_say_so(finished) -> None:
    found = draw(FinishedRun.read(finished.results))
    left = {d.what: d.reason for d in found if isinstance(d, LeftOut)}
    assert "no store was named" in left["map, text"]
    assert "no course of a training" in left["loss by step, audio"]
    counts = next(d for d in found if isinstance(d, Drawing) and d.number == 1)
    assert counts.title == "Label counts per fold"


def test_frozen_beside_fine_tuned(run: FinishedRun, frozen, finished, tmp_path: Path) -> None:
    other = FinishedRun.read(frozen.results, frozen.store)
    assert "frozen and imported" in str(training.loss(other, "text"))
    with style():
        figure = compare.against(run, other)
    assert figure.title == "fine-tuned against frozen"
    assert len(figure.tips["run-0"]) == len(
        {*run.rows["cell"]}
        & {*other.rows["cell"]} - {"baseline majority", "baseline stratified-random"}
    )
    strange = pd.read_csv(frozen.results / "grid.csv").assign(plan_digest="000000000000")
    (tmp_path / "predictions.parquet").write_bytes(
        (frozen.results / "predictions.parquet").read_bytes()
    )
    strange.to_csv(tmp_path / "grid.csv", index=False)
    with pytest.raises(UsageError, match="their plan_digest differ"):
        compare.against(run, FinishedRun.read(tmp_path))


@pytest.mark.parametrize(("classes", "folds"), [(2, 91), (32, 1)])
def test_it_stays_readable_with_few_and_many(classes: int, folds: int, tmp_path: Path) -> None:
    """Classes in other scripts and as markup, and more folds than lines that can be told apart."""
    names = [f"класс $x_{i}$ 感情 <{i}>" for i in range(classes)]
    n = 4 * folds
    true, given = np.arange(n) % classes, np.arange(n) * 7 % classes
    figures = [summary(true[i : i + 4], given[i : i + 4]) for i in range(0, n, 4)]
    rows = pd.DataFrame(
        {
            "corpus": "c",
            "protocol": "p",
            "plan_digest": "d",
            "fold": range(1, folds + 1),
            "fold_name": [f"speaker {i}" for i in range(folds)],
            "cell": "unimodal text svm",
            "family": "unimodal",
            "modalities": "text",
            "classifier": "svm",
            "encoders": "text=e@1",
            "flags": "chosen_on_valid",
            "n_test": 4,
            "n_scored": 4,
            "coverage": 1.0,
            "WA_all": [figure["WA"] for figure in figures],
            **pd.DataFrame(figures).to_dict("list"),
        }
    )
    rows.reindex(columns=list(SCHEMA)).to_csv(tmp_path / "grid.csv", index=False)
    answers = pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(n)],
            "fold": np.repeat(range(1, folds + 1), 4),
            "role": "test",
            "cell": "unimodal text svm",
            "kind": "probability",
            "y_true": [names[code] for code in true],
            "y_pred": [names[code] for code in given],
        }
    )
    chances = np.random.default_rng(0).dirichlet(np.ones(classes), n)
    scores = {f"score:{name}": chances[:, i] for i, name in enumerate(names)}
    answers.assign(**scores).to_parquet(tmp_path / "predictions.parquet")
    crossed = pd.crosstab(answers["y_true"], answers["y_pred"]).reindex(
        index=names, columns=names, fill_value=0
    )
    crossed.columns = [f"predicted:{name}" for name in names]
    crossed.rename_axis("truth").reset_index().to_csv(tmp_path / "confusion.csv", index=False)
    found = [d for d in draw(FinishedRun.read(tmp_path)) if isinstance(d, Drawing)]
    assert {d.name for d in found} >= {
        "figure01_label_counts",
        "figure12_confusion",
        "systems",
        "reliability",
    }
    assert all(path.stat().st_size for path in write(found, tmp_path / "figures"))
    histories = {
        i: pd.DataFrame({"step": [1, 2, 3], "loss": [2.0, 1.0, i / folds]})
        for i in range(1, folds + 1)
    }
    with style():
        figure = training.new_figure(4, 3)
        training._lines(
            FinishedRun.read(tmp_path), figure.subplots(), histories, "loss", labels=True
        )
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert texts == (["speaker 0"] if folds == 1 else ["mean of 91 folds"])


def test_a_training_that_diverged_is_drawn_as_far_as_it_went(finished, tmp_path: Path) -> None:
    histories = {
        1: pd.DataFrame({"step": [1, 2, 3], "loss": [2.0, 1.0, np.inf]}),
        2: pd.DataFrame({"step": [1, 2, 3], "loss": [np.nan] * 3}),
    }
    with style():
        figure = training.new_figure(4, 3)
        training._lines(
            FinishedRun.read(finished.results), figure.subplots(), histories, "loss", labels=True
        )
        figure.savefig(tmp_path / "loss.png")
    (label,) = figure.axes[0].texts
    assert label.xy == (2.0, 1.0)


def test_a_course_without_a_step_is_none(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.store, tmp_path / "store")
    path = min((tmp_path / "store").glob("*/enc-text*/*/*.history.csv"))
    path.write_text("step,epoch,loss\n1,0.5,\n")
    run = FinishedRun.read(finished.results, tmp_path / "store")
    with pytest.raises(StoreError, match=r"history\.csv: no line has a step and its loss"):
        training.loss(run, "text")


def test_broken_results_are_refused_with_advice(finished, tmp_path: Path) -> None:
    with pytest.raises(
        StoreNotFoundError, match="give the folder that run-fusion-grid --out wrote"
    ):
        FinishedRun.read(tmp_path)
    (tmp_path / "grid.csv").write_text("corpus,WA\nmine,0.5\n")
    with pytest.raises(StoreError, match="no column 'claim'"):
        FinishedRun.read(tmp_path)
    (tmp_path / "grid.csv").write_bytes((finished.results / "grid.csv").read_bytes())
    with pytest.raises(StoreNotFoundError, match=r"predictions\.parquet"):
        FinishedRun.read(tmp_path)
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(
        StoreError, match="run the same run-fusion-grid command again, finished cells are kept"
    ):
        FinishedRun.read(tmp_path)


def test_classes_differ_in_colour_for_every_eye_or_in_shape_and_hatch() -> None:
    assert class_styles(["happiness", "anger"]) | class_styles(
        ["anger", "happiness", "boredom"]
    ) == class_styles(["anger", "happiness", "boredom"])
    emotions = class_styles(["anger", "happiness", "neutral", "sadness"])
    for part in ("colour", "marker", "hatch"):
        assert len({getattr(look, part) for look in emotions.values()}) == 4
    for kind, matrix in {**BLIND, "none": np.eye(3)}.items():
        seen = [np.asarray(matrix) @ _linear(colour) for colour in COLOURS[:4]]
        for (one, a), (other, b) in combinations(enumerate(seen), 2):
            assert np.linalg.norm(_lab(a) - _lab(b)) > 30, (kind, COLOURS[one], COLOURS[other])
    lightness = sorted(_lab(_linear(colour))[0] for colour in COLOURS[:4])
    assert np.diff(lightness).min() > 10  # in grey print


def test_contributions_are_stacked_to_the_lead(finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "r")
    pd.DataFrame(
        {
            "family": "early",
            "method": "sum",
            "classifier": ["svm", "svm", "nn", "nn"],
            "modality": ["text", "audio"] * 2,
            "shapley": [30.0, 20.0, 40.0, -5.0],
        }
    ).to_csv(tmp_path / "r" / "contributions.csv", index=False)
    with style():
        figure = compare.contributions(FinishedRun.read(tmp_path / "r"))
    assert isinstance(figure, Drawing)
    assert "early, sum, nn: audio -5.0 points" in figure.tips.values()
    bars = {
        patch.get_gid(): (patch.get_x(), patch.get_width())
        for patch in figure.figure.axes[0].patches
    }
    assert bars["share-1-0"] == (30.0, 20.0)  # audio begins where text ends
    assert bars["share-1-1"] == (0.0, -5.0)  # and a loss goes the other way
    (tmp_path / "r" / "contributions.csv").write_text("modality\ntext\n")
    assert (
        compare.contributions(FinishedRun.read(tmp_path / "r"))
        == "contributions.csv has no shapley"
    )


def test_reliability_of_a_system_that_is_as_sure_as_right() -> None:
    sure = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0])
    assert compare.calibration_error(sure, right) == pytest.approx(0.0)
    assert compare.calibration_error(np.ones(10), np.zeros(10, dtype=bool)) == 1.0


def test_outcome_without_a_headline_says_why(finished, tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_bytes(
        (finished.results / "predictions.parquet").read_bytes()
    )
    pd.read_csv(finished.results / "grid.csv").assign(flags="").to_csv(
        tmp_path / "grid.csv", index=False
    )
    assert "no cell counts as the result" in str(outcome.confusion(FinishedRun.read(tmp_path)))


def _linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ np.clip(linear, 0, 1)
    t = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-9))
    return np.array([116 * t[1] - 16, 500 * (t[0] - t[1]), 200 * (t[1] - t[2])])
