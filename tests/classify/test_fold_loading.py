"""Every fold is read once per set of views, and only what fits is kept in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import classify.metadata
from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.grid.fold_loading import KEPT_OF_ONE_FOLD, LOADER, FoldLoader
from classify.grid.prepare import prepare
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.load import load_fold
from embeddings_store.vectors.fold_data import FoldData

MakeStore = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm",),
        early=("concatenation",),
        late=("sum",),
        jobs=1,
    )


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, str]]:
    """Count how often each fold is loaded with each set of views."""
    counted: Counter[tuple[int, str]] = Counter()

    def counting(request: FoldRequest, manifest: Manifest) -> FoldData:
        counted[request.fold, "+".join(request.views)] += 1
        return load_fold(request, manifest)

    monkeypatch.setattr(classify.metadata, "load_fold", counting)
    return counted


def test_with_one_job_every_fold_is_loaded_once(
    make_store: MakeStore, config: GridConfig, loads: Counter[tuple[int, str]]
) -> None:
    make_store()
    run_grid(config)
    sets = ("audio+text", "audio", "text")
    assert loads == {(fold, views): 1 for fold in (1, 2, 3) for views in sets}


def test_out_of_fold_every_space_is_loaded_once(
    make_trained: MakeStore, config: GridConfig, loads: Counter[tuple[int, str]]
) -> None:
    make_trained(inner=2)
    run_grid(replace(config, fit_rows="oof", drop_rates=(0.5,)))
    # with the scores of inner encoders, with their spaces, and as baselines see it, without both
    assert {loads[fold, "audio+text"] for fold in (1, 2, 3)} == {3}
    assert all(times <= 2 for (_, views), times in loads.items() if views != "audio+text")


def test_only_what_fits_is_kept(make_store: MakeStore, config: GridConfig) -> None:
    make_store(widths={"audio": 6, "text": 6, "video": 6})
    prepared = prepare(replace(config, early=None, late=None))
    refs = {m: candidates[0] for m, candidates in prepared.views.items()}
    sources = [prepared.source.fold(fold.number, refs) for fold in prepared.folds]
    LOADER.forget()
    prepared.plan.save(prepared.source.plan_file)
    roomy, narrow = FoldLoader(), FoldLoader(kept_bytes=0)
    first = [roomy.load(source) for source in sources]
    assert [roomy.load(source) for source in sources] == first, "three small folds all fit"
    loaded = [narrow.load(source) for source in sources]
    assert narrow.load(sources[-1]) is loaded[-1], "the fold at hand is kept whatever its size"
    assert narrow.load(sources[0]) is not loaded[0], "other folds are not"
    sets = [{m: refs[m]} for m in refs] + [{m: refs[m] for m in refs if m != "text"}, refs]
    parts = [prepared.source.fold(1, views) for views in sets]
    of_one_fold = [narrow.load(part) for part in parts]
    assert len(parts) == KEPT_OF_ONE_FOLD + 1
    kept = [narrow.load(part) for part in parts[1:]]
    assert all(one is other for one, other in zip(kept, of_one_fold[1:], strict=True))
    assert narrow.load(parts[0]) is not of_one_fold[0], "the oldest of more sets than are kept"


def test_a_corpus_or_a_plan_that_was_replaced_meanwhile_is_refused(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store()
    prepared = prepare(config)
    refs = {m: candidates[0] for m, candidates in prepared.views.items()}
    source = prepared.source.fold(1, refs)
    prepared.plan.save(prepared.source.plan_file)
    with pytest.raises(StoreMismatchError, match="the corpus was replaced while it was read"):
        FoldLoader().load(replace(source, manifest="0123456789ab"))
    with pytest.raises(RuntimeError, match="was replaced during the run"):
        FoldLoader().load(replace(source, plan="0123456789ab"))


def test_a_run_leaves_nothing_in_memory(make_store: MakeStore, config: GridConfig) -> None:
    make_store()
    run_grid(config)
    assert not LOADER.kept
