"""Several views of one modality: layers and encoders beside each other, in every output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands import audit_leakage
from classify.commands import run_fusion_grid as grid
from classify.experiment import run_grid
from classify.figures.results_folder import FinishedRun
from classify.grid.config import GridConfig
from classify.systems.definitions import read_systems

MakeStore = Callable[..., Path]
Fast = Mapping[str, Mapping[str, float]]


@pytest.fixture
def layered(make_store: MakeStore) -> Path:
    """Three layers of sound and of text."""
    return make_store(layers=3, rows=54)


def config(store: Path, **how: object) -> GridConfig:
    given = {"classifiers": ("svm",), "early": ("concatenation",), "late": ("mean",), "jobs": 1}
    return GridConfig(store=store, out=store.parent / "results", **{**given, **how})  # type: ignore[arg-type]


def test_every_layer_is_a_view(layered: Path) -> None:
    rows = run_grid(config(layered, layers="all")).table.rows
    views = [f"{m}.L{n}" for m in ("audio", "text") for n in range(3)]
    single = rows[(rows["family"] == "unimodal") & (rows["classifier"] == "svm")]
    assert list(dict.fromkeys(single["modalities"])) == views
    fused = rows[rows["family"] == "early"].iloc[0]
    assert fused["modalities"] == "+".join(views)
    assert fused["cell"] == "early concatenation audio.L0-2+text.L0-2 svm"
    encoders = dict(pair.split("=") for pair in fused["encoders"].split(","))
    assert encoders["audio.L0"].startswith("enc-audio.L0@")
    assert encoders["audio.L2"].startswith("enc-audio@")
    out = str(layered.parent / "results")
    assert audit_leakage.main(["--store", str(layered), "--results", out]) == 0
    run = FinishedRun.read(layered.parent / "results", store=layered)
    assert [run.entry(view, 1).ref.layer for view in run.modalities] == [0, 1, 2, 0, 1, 2]


def test_a_view_equals_the_same_layer_alone(layered: Path) -> None:
    views = ("text.L1", "ears=audio:enc-audio.L1")
    beside = run_grid(config(layered, views=views)).table.rows
    alone = run_grid(config(layered, layer="1", modalities=("text", "audio"))).table.rows
    for name, modality in (("text.L1", "text"), ("ears", "audio"), ("text.L1+ears", "text+audio")):
        one = beside[(beside["modalities"] == name) & (beside["classifier"] != "rule")]
        other = alone[(alone["modalities"] == modality) & (alone["classifier"] != "rule")]
        assert len(one) == len(other) > 0
        np.testing.assert_array_equal(one["WA"], other["WA"])


def test_subsets_shapley_values_and_drops_count_by_modality(layered: Path) -> None:
    views = ("audio.L0-1", "text.L1")
    found = config(layered, views=views, subsets=True, drop_rates=(0.5,))
    rows = run_grid(found).table.rows
    assert set(rows.loc[rows["family"] == "early", "modalities"]) == {
        "audio.L0+audio.L1+text.L1",
        "audio.L0+audio.L1",
    }
    folder = layered.parent / "results"
    shares = pd.read_csv(folder / "contributions.csv")
    early = shares[(shares["family"] == "early") & (shares["classifier"] == "svm")]
    assert list(early["modality"]) == ["audio", "text"]
    whole = rows[(rows["modalities"] == "audio.L0+audio.L1+text.L1") & (rows["family"] == "early")]
    floor = rows[rows["cell"] == "baseline majority"]
    expected = 100 * (whole["WA"].mean() - floor["WA"].mean())
    assert early["shapley"].sum() == pytest.approx(expected, abs=0.02)
    lost = pd.read_csv(folder / "degradation.csv")
    assert {"each", "audio", "text"} == set(lost["dropped"])


def test_a_written_system_names_views(layered: Path) -> None:
    text = 'stacked = mean(svm(audio.L1), svm("audio:enc-audio.L2"), svm(text))'
    views = ("audio.L1", "audio:enc-audio.L2", "text=text.L1")
    systems = read_systems([text], [])
    rows = run_grid(config(layered, views=views, systems=systems)).table.rows
    system = rows[rows["family"] == "system"]
    assert set(system["modalities"]) == {"audio.L1+audio:enc-audio.L2+text"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--view", "audio.L7"], "asks for layer 7 of audio; the store has 0, 1, 2"),
        (["--view", "audio"], "could be any of audio:enc-audio@"),
        (["--view", "adio.L1"], "unknown modality 'adio'; did you mean 'audio'"),
        (["--view", "audio:wav2.L1"], "unknown audio encoder 'wav2'"),
        (["--view", "audio.L1", "--view", "b=audio.L1"], "'audio.L1' and 'b' are the same vectors"),
        (["--view", "a=audio.L1", "--view", "a=text.L1"], "two views are called 'a'"),
        (["--view", "a+b=audio.L1"], "holds no blank and none of"),
        (["--view", "a=b=c"], "is not of the form"),
        (["--view", "audio.L1", "--layer", "1"], "leave out --modalities, --encoder"),
        (["--layers", "1", "--layer", "1"], "give one of them"),
        (["--layers", "0-999999999"], "asks for layer 999999999 of audio"),
        (["--layers", "9" * 5000], "--layers takes all, or numbers"),
        (["--view", "audio.L" + "9" * 5000], "is not of the form"),
        (["--layers", "2-1"], "asks for layer 2-1 of audio"),
        (["--layers", "two"], "--layers takes all, or numbers"),
    ],
)
def test_what_names_no_view_is_refused_in_one_line(
    options: list[str], message: str, layered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(layered.parent / "out")
    assert grid.main(["--store", str(layered), "--out", out, *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
