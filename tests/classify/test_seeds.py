"""Seeds are rows of the grid; the tables give their deviation beside that over folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from classify.commands.grid_options import build_parser, config_from
from classify.experiment import run_grid
from classify.grid import execution as grid
from classify.grid import tasks
from classify.grid.config import GridConfig
from classify.grid.execution import survey
from classify.results.paper_tables import per_class_table
from classify.results.table import CHOSEN
from classify.terminal.grid import show_results
from embeddings_store.errors import StoreMismatchError, UsageError
from embeddings_store.vectors.hdf5 import read_embeddings, write_embeddings

MakeStore = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm", "nn"),
        jobs=1,
        early=("concatenation",),
        late=(),
        settings={"nn": {"epochs": 3.0, "units": 8.0}},
    )


def test_seeds_of_the_classifier_are_rows_and_compute_only_what_draws(
    make_store: MakeStore, config: GridConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(widths={"audio": 6}, apart=0.5)
    config = replace(config, early=None, late=None)
    alone = run_grid(config).table
    computed: list[str] = []
    monkeypatch.setattr(
        grid, "run_cell", lambda task: computed.append(task.cell.classifier) or tasks.run_cell(task)
    )
    assert survey(replace(config, seeds=(0, 1, 2))).to_run == 2 * 3 * (1 + 1)
    result = run_grid(replace(config, seeds=(0, 1, 2)))
    assert sorted(set(computed)) == ["nn", "stratified-random"]
    assert len(computed) == 2 * 3 * (1 + 1), (
        "two more seeds, three folds; one network and one baseline"
    )
    rows = result.table.rows
    assert len(rows) == 3 * len(alone.rows)
    pd.testing.assert_frame_equal(
        rows[rows["seed"] == 0].reset_index(drop=True).drop(columns=["flags"]),
        alone.rows.drop(columns=["flags"]),
    )
    svm = rows[rows["classifier"] == "svm"]
    assert (svm.groupby(["cell", "fold"])["WA"].nunique() == 1).all()
    means = rows[rows["family"] != "baseline"].groupby("cell", sort=False)["valid_WA"].mean()
    assert result.table.headline == result.table.flagged(CHOSEN) == means.idxmax()
    _tables_are_means_over_folds_and_seeds(result.prepared.config.out, rows)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with console.file:
        show_results(result, console)
    text = console.export_text()
    assert "mean ± sample deviation over 3 folds (± sample deviation over 3 seeds)" in text
    assert "seed 0,1,2" in text


def _tables_are_means_over_folds_and_seeds(out: Path, rows: pd.DataFrame) -> None:
    table = pd.read_csv(out / "table4_unimodal.csv")
    line = table[(table["row"] == "audio") & (table["metric"] == "WA")].iloc[0]
    part = rows[(rows["family"] == "unimodal") & (rows["classifier"] == "nn")]
    grid_of = part.pivot_table(index="seed", columns="fold", values="WA").to_numpy()
    assert grid_of.shape == (3, 3)
    assert line["nn"] == pytest.approx(100 * grid_of.mean(), abs=0.005)
    assert line["nn_sd"] == pytest.approx(100 * np.std(grid_of.mean(axis=0), ddof=1), abs=0.005)
    assert line["nn_seed_sd"] == pytest.approx(
        100 * np.std(grid_of.mean(axis=1), ddof=1), abs=0.005
    )
    assert line["nn_seed_sd"] > 0
    assert line["svm_seed_sd"] == 0
    assert str(line["seed"]) == "0,1,2"
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert not predictions.duplicated(["id", "fold", "cell", "seed", "encoder_seed"]).any()
    assert set(predictions["seed"]) == {0, 1, 2}
    pooled = pd.read_csv(out / "statistics.csv")
    network = pooled[(pooled["cell"] == "unimodal audio nn") & (pooled["metric"] == "WA")].iloc[0]
    assert network["pooled"] == pytest.approx(grid_of.mean())  # folds are of one size
    assert network["n_rows"] == 3 * 90


def test_seeds_of_the_fine_tuning_are_rows(
    make_trained: MakeStore, make_store: MakeStore, config: GridConfig
) -> None:
    make_trained(modalities=("audio",), seeds=(0, 3))
    config = replace(config, classifiers=("svm",), settings={}, early=None)
    with pytest.raises(UsageError, match=r"--encoder-seed takes one or several \(0, 3\), or all"):
        run_grid(config)
    rows = run_grid(replace(config, encoder_seeds=())).table.rows
    assert list(dict.fromkeys(rows["encoder_seed"])) == ["audio=0", "audio=3"]
    apart = [
        run_grid(replace(config, encoder_seeds=(seed,), out=config.out / str(seed))).table.rows
        for seed in (0, 3)
    ]
    by_seed = rows[rows["cell"] == "unimodal audio svm"].groupby("encoder_seed")["WA"].mean()
    for name, alone in zip(("audio=0", "audio=3"), apart, strict=True):
        assert by_seed[name] == alone.loc[alone["cell"] == "unimodal audio svm", "WA"].mean()
    table = pd.read_csv(config.out / "table4_unimodal.csv")
    line = table[(table["row"] == "audio") & (table["metric"] == "WA")].iloc[0]
    assert line["svm_seed_sd"] == pytest.approx(100 * by_seed.std(ddof=1), abs=0.005)
    assert line["encoder_seed"] == "audio=0; audio=3"
    with pytest.raises(
        UsageError, match="no audio vectors of seed 7; the store has the seeds 0, 3"
    ):
        run_grid(replace(config, encoder_seeds=(0, 7)))
    frozen = make_store(corpus="frozen", where="other")
    with pytest.raises(UsageError, match="no encoder here was fine-tuned"):
        run_grid(replace(config, store=frozen, encoder_seeds=()))


@pytest.mark.parametrize(
    ("lost", "said"), [({1: 0}, "'test': 30.*'test': 29"), ({0: 1, 1: 0}, "other ones of as many")]
)
def test_seeds_with_other_rows_are_not_compared(
    make_trained: MakeStore, config: GridConfig, lost: dict[int, int], said: str
) -> None:
    store = make_trained(modalities=("audio",), seeds=(0, 1))
    for seed, row in lost.items():
        path = next(store.glob(f"toy/*@*/seed-{seed}/fold-1.h5"))
        file = read_embeddings(path)
        status, vectors, scores = file.status.astype("U7"), file.vectors.copy(), file.scores.copy()
        status[row], vectors[row], scores[row] = "failed", np.nan, np.nan
        write_embeddings(
            path,
            replace(file, status=status, vectors=vectors, scores=scores),
            {k: v for k, v in file.attributes.items() if k not in {"digest", "header_digest"}},
        )
    with pytest.raises(StoreMismatchError, match=f"have vectors of different rows .*{said}"):
        run_grid(replace(config, encoder_seeds=(), early=None))


def test_seeds_of_one_fold_are_averaged_before_folds_are_compared() -> None:
    truth = np.array([0, 0, 1, 1])
    answers = [(truth, truth), (truth, np.array([0, 1, 1, 1])), (truth, np.array([1, 1, 1, 1]))]
    table = per_class_table(answers, ("sad", "happy"), [1, 1, 2]).set_index("class")
    assert table.loc["sad", "recall"] == pytest.approx(100 * np.mean([np.mean([1, 0.5]), 0]))
    assert table.loc["all", "support"] == 8


@pytest.mark.parametrize(("text", "seeds"), [("4", (4,)), ("0,1,2", (0, 1, 2)), ("1,1", (1,))])
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    arguments = build_parser().parse_args(["--seed", text, "--encoder-seed", text])
    assert (config_from(arguments).seeds, config_from(arguments).encoder_seeds) == (seeds, seeds)
    assert config_from(build_parser().parse_args(["--encoder-seed", "all"])).encoder_seeds == ()
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--seed", "many"])
