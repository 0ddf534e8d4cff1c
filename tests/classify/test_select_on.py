"""Chosen on test is possible, and every output then says that it is an upper bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classify.commands.run_fusion_grid import main
from classify.results.table import BEST_ON_TEST, CHOSEN, ON_TEST, ResultTable
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LeakError, UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.rules import make_plan
from embeddings_store.load import load_fold
from embeddings_store.vectors.catalogue import catalogue, choose_views

MakeStore = Callable[..., Path]
QUICK = ["--classifiers", "svm", "--early", "concatenation", "--late", "sum", "--jobs", "1"]
BOUND = ["--valid", "none", "--select-on", "test"]


def run(store: Path, out: Path, *more: str) -> int:
    """Run the command."""
    return main(["--store", str(store), "--out", str(out), *QUICK, *more])


def test_vectors_whose_epoch_was_chosen_on_test_are_scored_only_when_asked(
    make_trained: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = make_trained(rule="test"), tmp_path / "r"
    assert run(store, out, "--valid", "none") == 3
    error = capsys.readouterr().err
    assert "chosen by its accuracy on them" in error
    assert "add --select-on test, which stamps every result as an upper bound" in error
    assert not out.exists()
    assert run(store, out, *BOUND, "--dry-run") == 0
    assert "*** UPPER BOUND" in capsys.readouterr().out
    assert run(store, out, *BOUND) == 0
    _every_output_is_stamped(out, capsys.readouterr().out)
    table = ResultTable.read(out / "grid.csv")
    candidates = table.rows[table.rows["family"] != "baseline"]
    assert table.headline == table.flagged(ON_TEST) == table.flagged(BEST_ON_TEST)
    assert table.headline == candidates.groupby("cell", sort=False)["WA"].mean().idxmax()
    assert not table.flagged(CHOSEN)
    assert (candidates["n_test_selected"] == candidates["n_test"]).all()
    assert set(candidates["shared_rows"]) == {"epoch+cell"}
    manifest = Manifest.load(store / "toy")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    for fold in make_plan(manifest, "", "none"):
        data = load_fold(
            FoldRequest(
                store, "toy", views, make_plan(manifest, "", "none"), fold.number, select_on="test"
            )
        )
        scaler = StandardScaler().fit(data.train.vectors["audio"])
        plain = SVC().fit(scaler.transform(data.train.vectors["audio"]), data.train.y)
        found = candidates[
            (candidates["cell"] == "unimodal audio svm") & (candidates["fold"] == fold.number)
        ]["WA"].item()
        assert found == accuracy_score(
            data.test.y, plain.predict(scaler.transform(data.test.vectors["audio"]))
        )


def _every_output_is_stamped(out: Path, text: str) -> None:
    assert text.count("*** UPPER BOUND") == 2
    assert text.count("test rows, per cent, UPPER BOUND)") == 4  # the caption of each table
    assert "UPPER BOUND, no result: " in text
    assert "epochs were chosen on 90 of these 90 rows" in text
    assert "\n24 rows (cells x folds) (UPPER BOUND, no result) in " in text
    assert "\nresult:" not in text
    tables = sorted(out.glob("*.csv"))
    assert {"grid.csv", "confusion.csv", "statistics.csv", "table5_early.csv"} <= {
        path.name for path in tables
    }
    for path in tables:
        claims = pd.read_csv(path)["claim"]
        assert set(claims) == ({"upper bound"} if len(claims) else set()), path.name
    assert pq.read_schema(out / "predictions.parquet").metadata[b"claim"] == b"upper bound"


def test_results_and_upper_bounds_do_not_replace_each_other(
    make_trained: MakeStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = make_trained(modalities=("audio",))
    monkeypatch.chdir(tmp_path)
    arguments = ["--store", str(store), "--classifiers", "svm", "--jobs", "1", "--quiet"]
    assert main(arguments) == 0
    honest = ResultTable.read(tmp_path / "results" / "grid.csv")
    assert set(honest.rows["claim"]) == {"result"}
    assert honest.flagged(CHOSEN)
    assert (
        pq.read_schema(tmp_path / "results" / "predictions.parquet").metadata[b"claim"] == b"result"
    )
    assert main([*arguments, "--select-on", "test"]) == 0  # has a folder of its own
    assert set(ResultTable.read(tmp_path / "results-upper-bound" / "grid.csv").rows["claim"]) == {
        "upper bound"
    }
    assert main([*arguments, "--select-on", "test", "--out", "results"]) == 2
    assert "holds figures of the kind 'result'" in capsys.readouterr().err
    assert main([*arguments, "--out", "results-upper-bound"]) == 2
    assert "holds figures of the kind 'upper bound'" in capsys.readouterr().err


def test_rows_that_an_encoder_was_fitted_on_stay_refused(make_store: MakeStore) -> None:
    store = make_store(seen="fit")
    manifest = Manifest.load(store / "toy")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    for select_on in ("valid", "test"):
        with pytest.raises(LeakError, match="was trained on them") as caught:
            load_fold(
                FoldRequest(
                    store, "toy", views, make_plan(manifest, "", "none"), 1, select_on=select_on
                )
            )
        assert "--select-on" not in str(caught.value)
    with pytest.raises(UsageError, match="did you mean 'test'"):
        load_fold(FoldRequest(store, "toy", views, make_plan(manifest), 1, select_on="tset"))


def test_rows_that_chose_an_epoch_are_named(make_trained: MakeStore) -> None:
    store = make_trained(rule="valid-session")
    views = {m: refs[0] for m, refs in choose_views(catalogue(store, "toy")).items()}
    data = load_fold(FoldRequest(store, "toy", views, make_plan(Manifest.load(store / "toy")), 1))
    assert data.valid.selected.all()
    assert not data.test.selected.any()
    assert not data.train.selected.any()
