"""``--layers-as``: layers that stand for their modality together, in every output."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.commands import audit_leakage
from classify.commands import run_fusion_grid as grid
from classify.experiment import run_grid
from classify.figures.results_folder import FinishedRun
from classify.grid.config import GridConfig
from classify.grid.execution import bind_cells
from classify.grid.fold_loading import LOADER
from classify.grid.prepare import prepare
from classify.report.sentences.system import system_in_words
from classify.results.statistics_tables import read_statistics
from classify.results.table import cell_name
from classify.results.write import GridResult
from classify.systems.definitions import read_systems
from classify.terminal.console import add_line, figures_table, print_table
from classify.terminal.grid import show_results
from classify.terminal.statistics import comparison_table
from embeddings_store.errors import LeakError, UsageError
from embeddings_store.vectors.fold_data import RoleData
from embeddings_store.vectors.hdf5 import read_embeddings, write_embeddings

MakeStore = Callable[..., Path]


@pytest.fixture
def layered(make_store: MakeStore) -> Path:
    """Three layers of sound and of text."""
    return make_store(layers=3, rows=36)


def config(store: Path, **how: object) -> GridConfig:
    given: dict[str, object] = {
        "classifiers": ("svm",),
        "early": ("concatenation",),
        "late": ("mean",),
        "out": store.parent / "results",
        "jobs": 1,
    }
    return GridConfig(store=store, **{**given, **how})  # type: ignore[arg-type]


def joined(layered: Path, how: str, **more: object) -> tuple[pd.DataFrame, Path, GridResult]:
    out = layered.parent / f"results-{how}"
    result = run_grid(config(layered, layers="all", layers_as=how, **{"out": out, **more}))
    return result.table.rows, out, result


def accuracies(rows: pd.DataFrame, cell: str) -> list[float]:
    found = rows.loc[rows["cell"] == cell, "WA"].tolist()
    assert found, sorted(set(rows["cell"]))
    return found


@pytest.mark.parametrize(
    ("how", "name", "expression"),
    [
        ("concat", "audio[3 layers]", "svm(concat(audio.L0, audio.L1, audio.L2))"),
        ("mean", "audio[mean of 3 layers]", "svm(concat(sum(audio.L0, audio.L1, audio.L2)))"),
    ],
)
def test_layers_stand_for_their_modality_as_one(
    how: str, name: str, expression: str, layered: Path
) -> None:
    same = read_systems([f"same = {expression}"], [])  # written out, it is the same
    rows, out, result = joined(layered, how, systems=same)
    text = name.replace("audio", "text")
    single = rows[(rows["family"] == "unimodal") & (rows["classifier"] == "svm")]
    assert list(dict.fromkeys(single["cell"])) == [f"unimodal {name} svm", f"unimodal {text} svm"]
    assert set(single["expression"]) == {expression, expression.replace("audio", "text")}
    assert f"early concatenation {name}+{text} svm" in set(rows["cell"])
    assert f"late mean {name}+{text} rule" in set(rows["cell"])
    # each layer that goes in is on record
    assert set(single["modalities"]) == {"audio.L0+audio.L1+audio.L2", "text.L0+text.L1+text.L2"}
    encoders = dict(pair.split("=") for pair in single.iloc[0]["encoders"].split(","))
    assert list(encoders) == ["audio.L0", "audio.L1", "audio.L2"]
    assert audit_leakage.main(["--store", str(layered), "--results", str(out)]) == 0
    table = pd.read_csv(out / "table4_unimodal.csv")
    assert list(dict.fromkeys(table["row"]))[:2] == [name, text]
    run = FinishedRun.read(out)
    assert system_in_words(run, f"unimodal {name} svm") == f"{name} alone with SVM"
    assert_nothing_is_lost(result, name)
    same_name = "system same audio.L0-2 svm"
    assert accuracies(rows, f"unimodal {name} svm") == accuracies(rows, same_name)


def test_a_mean_of_layers_is_that_of_their_standardised_vectors(layered: Path) -> None:
    rows, _, _ = joined(layered, "mean")
    prepared = prepare(config(layered, layers="all", layers_as="mean"))
    cell = next(c for c in prepared.cells if c.family == "unimodal" and c.classifier == "svm")
    task = bind_cells(prepared, [cell], {}, {})[0]
    data = LOADER.load(task.source)
    views = [f"audio.L{n}" for n in range(3)]
    scalers = [StandardScaler().fit(data.train.vectors[v]) for v in views]

    def mean(part: RoleData) -> np.ndarray:
        return np.mean(
            [s.transform(part.vectors[v]) for s, v in zip(scalers, views, strict=True)], axis=0
        )

    again = StandardScaler().fit(mean(data.train))
    model = SVC(C=1.0, break_ties=True).fit(again.transform(mean(data.train)), data.train.y)
    expected = model.score(again.transform(mean(data.test)), data.test.y)
    assert accuracies(rows, "unimodal audio[mean of 3 layers] svm")[0] == expected


def test_layers_are_stacked_and_the_stack_stands_for_the_modality(layered: Path) -> None:
    systems = read_systems(
        [
            "alone = stack(probe(audio.L0), probe(audio.L1), probe(audio.L2))",
            "both = mean(stack(probe(audio.L0), probe(audio.L1), probe(audio.L2)), "
            "stack(probe(text.L0), probe(text.L1), probe(text.L2)))",
        ],
        [],
    )
    rows, out, _ = joined(layered, "stack", early=None, systems=systems)
    alone = accuracies(rows, "unimodal audio[stack of 3 layers] rule")
    assert alone == accuracies(rows, "system alone audio.L0-2 stack")
    fused = "late mean audio[stack of 3 layers]+text[stack of 3 layers] rule"
    assert accuracies(rows, fused) == accuracies(rows, "system both audio.L0-2+text.L0-2 mean")
    of_stack = rows[rows["cell"] == "unimodal audio[stack of 3 layers] rule"]
    assert set(of_stack["learnt_on"]) == {"oof"}  # over training groups
    # each layer stands beside it, and what learns from stacked scores only on request
    assert {f"unimodal audio.L{n} svm" for n in range(3)} <= set(rows["cell"])
    assert not (rows["family"] == "early").any()
    assert pd.read_csv(out / "table4_unimodal.csv")["own"].notna().any()


def test_what_learns_from_stacked_layers_is_there_where_it_is_named(layered: Path) -> None:
    stacked = {"layers": "all", "layers_as": "stack", "early": None}
    named = prepare(config(layered, **stacked, late=("weighted",)))
    assert "weighted" in {cell.method for cell in named.cells}
    unnamed = prepare(config(layered, **stacked, late=None))
    assert "weighted" not in {cell.method for cell in unnamed.cells}
    costly = "left out: late weighted, which would fit audio[stack of 3 layers] again"
    for expected in (costly, "no early fusion: audio[stack of 3 layers] is class scores"):
        assert any(expected in note for note in unnamed.notes), unnamed.notes
    with pytest.raises(UsageError, match="no vectors of it to fuse early; leave out --early"):
        prepare(config(layered, layers="all", layers_as="stack"))


def test_the_key_follows_what_a_joined_cell_is_made_of(layered: Path) -> None:
    def keys(**how: object) -> dict[str, str]:
        prepared = prepare(config(layered, **how))
        tasks = bind_cells(prepared, prepared.cells, {}, {})
        return {cell_name(task.cell): task.key for task in tasks if task.source.fold == 1}

    plain, concat = keys(layers="all"), keys(layers="all", layers_as="concat")
    fewer = keys(layers="0-1", layers_as="concat")
    mean = keys(layers="all", layers_as="mean")
    ours = {
        concat["unimodal audio[3 layers] svm"],
        concat["unimodal audio[3 layers] probe"],
        mean["unimodal audio[mean of 3 layers] svm"],
        mean["unimodal audio[mean of 3 layers] probe"],
        fewer["unimodal audio[2 layers] svm"],
        fewer["unimodal audio[2 layers] probe"],
    }
    assert len(ours) == 6
    assert not ours & set(plain.values())
    stacked = keys(layers="all", layers_as="stack", early=None)
    for view in ("audio.L1", "text.L2"):  # a layer beside its stack is the same cell as alone
        assert stacked[f"unimodal {view} svm"] == plain[f"unimodal {view} svm"]


@pytest.mark.parametrize("how", ["mean", "concat", "stack"])
def test_the_gate_holds_for_every_layer_that_goes_in(how: str, make_store: MakeStore) -> None:
    store = make_store(layers=3, rows=54, widths={"audio": 6})
    path = next(store.glob("toy/enc-audio.L1@*/seed-0/fold-any.h5"))
    file = read_embeddings(path)
    seen = replace(file, seen=np.full(len(file.ids), "fit"))
    path.unlink()
    write_embeddings(path, seen, dict(file.attributes))
    with pytest.raises(LeakError, match=r"audio\.L1 encoder"):
        prepare(config(store, layers="all", layers_as=how, early=None, late=None))


@pytest.mark.parametrize(
    ("how", "written", "expected"),
    [
        ("mean", "svm(audio)", "svm(concat(sum(audio.L0, audio.L1, audio.L2)))"),
        ("concat", "svm(audio)", "svm(concat(audio.L0, audio.L1, audio.L2))"),
        (
            "stack",
            "mean(audio)",
            "mean(stack(scores(audio.L0), scores(audio.L1), scores(audio.L2)))",
        ),
    ],
)
def test_a_system_names_joined_layers_by_their_modality(
    how: str, written: str, expected: str, layered: Path
) -> None:
    systems = read_systems([f"mine = {written}"], [])
    asked = config(layered, layers="all", layers_as=how, early=None, systems=systems)
    [cell] = [cell for cell in prepare(asked).cells if cell.method == "mine"]
    assert cell.expression == expected
    assert cell.modalities == ("audio.L0", "audio.L1", "audio.L2")


def test_a_head_takes_no_joined_layers(layered: Path) -> None:
    systems = read_systems(["mine = head(audio)"], [])
    with pytest.raises(UsageError, match=r"the system 'mine'.*head takes the name of a view"):
        prepare(config(layered, layers="all", layers_as="concat", systems=systems))


def test_layers_stand_in_the_order_of_their_numbers() -> None:
    rows = pd.DataFrame({"modalities": ["text", "audio.L10+audio.L2", "audio.L2", "b10+b9"]})
    run = FinishedRun(Path(), rows, (), None, None, ())
    assert run.modalities == ["text", "audio.L2", "audio.L10", "b9", "b10"]


def test_layers_as_needs_layers(layered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--store", str(layered), "--out", str(layered.parent / "out")]
    assert grid.main([*command, "--layers-as", "mean"]) == 2
    assert "say which with --layers all" in " ".join(capsys.readouterr().err.split())


def assert_nothing_is_lost(result: GridResult, name: str) -> None:
    """Check that neither a name nor a figure is cut on terminals of any width."""
    comparisons = read_statistics(result.prepared.config.out)[1]
    for width in (200, 80, 50):
        out = io.StringIO()
        console = Console(file=out, width=width)
        show_results(result, console)
        print_table(console, comparison_table(comparisons))
        assert "…" not in out.getvalue()
        lines = out.getvalue().splitlines()
        rules = [line for line in lines if line.strip() and not line.strip(" ─")]
        assert rules and max(map(len, rules)) <= width
        # a broken name goes on in the line below, in the first column
        starts = " ".join(line[: width // 2].split("  ")[0].strip() for line in lines)
        assert " ".join(starts.split()).count(name) >= 4


def test_a_table_wider_than_the_terminal_is_printed_in_parts() -> None:
    table = figures_table("Accuracy", [f"average of metric {n}" for n in range(6)])
    add_line(table, "early concatenation audio.L0-12+text.L0-12", *["98.67 ± 1.83"] * 6)
    add_line(table, "[mean of 13 layers]", *["12.34 ± 5.67"] * 6)
    out = io.StringIO()
    print_table(Console(file=out, width=80), table)
    text = out.getvalue()
    assert text.count("98.67 ± 1.83") == text.count("12.34 ± 5.67") == 6
    assert text.count("[mean of 13 layers]") == _n_headings(text) > 1
    assert all(f"average of metric {n}" in text for n in range(6))
    assert max(map(len, text.splitlines())) <= 80
    out = io.StringIO()
    print_table(Console(file=out, width=200), table)
    assert _n_headings(out.getvalue()) == 1


def _n_headings(text: str) -> int:
    return sum(bool(line.strip()) and not line.strip(" ─") for line in text.splitlines())
