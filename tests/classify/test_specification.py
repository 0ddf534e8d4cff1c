"""The key of a cell follows from its specification: it changes exactly where a number may."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from classify.experiment import run_grid
from classify.grid.config import GridConfig
from classify.grid.execution import bind_cells, drop_tasks
from classify.grid.field_declarations import (
    CHANGES_NUMBERS,
    every_field_declared,
    numbers_of,
    plain,
    reasons_of,
)
from classify.grid.finished_cells import cells_of_older_versions
from classify.grid.fold_loading import FoldSource
from classify.grid.inner_choice import Ladder
from classify.grid.missing_modalities import Drop
from classify.grid.prepare import prepare
from classify.grid.specification import ALGORITHM, LIBRARIES, CellSpec, library_versions
from classify.grid.tasks import CellTask, run_cell
from classify.grid.tuning import Search
from classify.metadata import MetadataColumns
from classify.systems.definitions import read_systems
from classify.systems.joined_views import JoinedViews
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.inner_folds import InnerSet

MakeStore = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> GridConfig:
    return GridConfig(
        tmp_path / "embeddings",
        tmp_path / "results",
        classifiers=("svm", "nn"),
        early=("concatenation",),
        late=("sum", "mean", "stack-xgboost"),
        systems=read_systems(["mine = mean(nn(audio), text)"]),
        jobs=1,
    )


def tasks_of(config: GridConfig) -> list[CellTask]:
    """Bind every cell to every fold; nothing is computed."""
    prepared = prepare(config)
    tasks = bind_cells(prepared, prepared.cells, {}, {})
    return tasks + drop_tasks(prepared, tasks)


def keys_by_cell(config: GridConfig) -> dict[str, list[str]]:
    """Return family, method and classifier of each cell to the keys of all its tasks."""
    keys: dict[str, list[str]] = {}
    for task in tasks_of(config):
        cell = task.cell
        name = f"{cell.family} {cell.method} {'+'.join(cell.modalities)} {cell.classifier}"
        keys.setdefault(name, []).append(task.key)
    return keys


# ---- every field of the specification, one at a time

REF = EncoderRef("other", "fedcba987654", "audio")
OTHER_VALUES: Mapping[type, Mapping[str, object]] = {
    CellSpec: {
        "family": "late",
        "method": "product",
        "classifier": "nn",
        "expression": "mean(head(audio))",
        "settings": {"c": 2.0},
        "scores_from": {"audio": "head"},
        "probe": {"splits": 3},
        "fit_rows": "train+valid",
        "seed": 5,
        "search": Search("svm", {}, 3, 0.0, "train", 0),
        "ladder": Ladder("svm", {}),
        "drops": (Drop("each", 0.5),),
        "drop_seed": 1,
        "algorithm": ALGORITHM + 1,
        "versions": {"numpy": "0.1"},
        "folder": Path("elsewhere"),
        "origin": {"commit": "abc"},
        "probes": {"audio": "0123456789ab"},
        "joined": (JoinedViews("audio", "mean", ("audio.L1", "audio.L2")),),
        "whole": "0123456789ab",
    },
    FoldSource: {
        "corpus": "other",
        "manifest": "other",
        "plan": "other",
        "labels": "other",
        "fold": 7,
        "views": (("audio", REF, "digest"),),
        "shuffle_seed": 1,
        "valid_split": 3,
        "metadata": (MetadataColumns("metadata", ("meta_age",)),),
        "inner": (("audio", InnerSet(REF, 2), ("a", "b")),),
        "spaces": True,
        "inner_parts": 5,
        "store": Path("elsewhere"),
        "plan_file": Path("elsewhere.parquet"),
        "label_set": "{}",
        "select_on": "test",
    },
}
CHANGE_NO_NUMBER = {
    CellSpec: {"folder", "origin", "probes", "whole"},
    FoldSource: {"store", "plan_file", "label_set", "select_on"},
}


def test_every_field_changes_the_key_where_it_must_and_only_there(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store()
    spec = next(t.spec for t in tasks_of(config) if t.cell.family == "early")
    for of, others in OTHER_VALUES.items():
        names = {f.name for f in fields(of)} - {"source"}
        assert names == set(others), "a field was added: say here what else it may be"
        for name, other in others.items():
            held = spec if of is CellSpec else spec.source
            assert getattr(held, name) != other
            changed = replace(held, **{name: other})
            full = changed if of is CellSpec else replace(spec, source=changed)
            same = name in CHANGE_NO_NUMBER[of]
            assert (full.key == spec.key) == same, name
        assert set(reasons_of(of)) == CHANGE_NO_NUMBER[of]


@pytest.mark.parametrize(
    "change",
    [{"trials": 4}, {"minutes": 1.0}, {"on": "valid"}, {"seed": 1}, {"fixed": {"epochs": 3.0}}],
)
def test_every_part_of_a_search_changes_the_key(
    make_store: MakeStore, config: GridConfig, change: dict[str, object]
) -> None:
    make_store()
    spec = next(t.spec for t in tasks_of(config) if t.cell.classifier == "nn")
    search = Search("nn", {}, 3, 0.0, "train", 0)
    keys = {replace(spec, search=s).key for s in (None, search, replace(search, **change))}
    assert len(keys) == 3


def test_a_field_without_a_declaration_is_refused() -> None:
    for metadata in ({}, {"role": "perhaps"}, {"role": "changes no number", "reason": ""}):

        @dataclass(frozen=True)
        class Grown:
            old: int = field(metadata=CHANGES_NUMBERS)
            new: int = field(default=0, metadata=metadata)

        with pytest.raises(TypeError, match=r"Grown\.new does not declare"):
            every_field_declared(Grown)


def test_what_has_no_plain_form_cannot_be_part_of_a_key() -> None:
    with pytest.raises(TypeError, match="cannot be part of a digest"):
        plain({"where": Path("here")})


# ---- a value that cannot matter is neutral


def test_conditional_options_change_only_the_cells_that_they_matter_to(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(heads=("audio",))
    before = keys_by_cell(config)

    def changed(**options: object) -> set[str]:
        after = keys_by_cell(replace(config, **options))  # type: ignore[arg-type]
        assert set(after) == set(before)
        return {name for name in before if before[name] != after[name]}

    drawing = {n for n in before if n.endswith((" nn", "stratified-random"))}
    of_systems = {"system mine audio+text mean"}
    assert of_systems <= set(before)
    assert changed(seeds=(1,)) == drawing | of_systems | {"late stack-xgboost audio+text rule"}
    assert changed(settings={"svm": {"c": 2.0}}) == {n for n in before if n.endswith(" svm")}
    assert changed(settings={"svm": {"c": 1.0}}) == set(), "the default, written out"
    assert changed(valid_split=0) == {n for n in before if n.startswith(("late", "system"))}
    fused = {n for n in before if n.startswith(("late", "system"))}
    assert changed(fit_rows="valid") == fused
    tuned = {n for n in before if n.endswith((" svm", " nn")) and not n.startswith("system")}
    assert changed(tune=2) == tuned
    assert changed(fit_rows="train+valid", shuffle_seed=1) == set(before)
    assert changed(jobs=2, calibrate="temperature", out=config.out / "other") == set()


def test_probe_settings_and_sources_stand_only_where_scores_answer(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(heads=("audio",))
    for task in tasks_of(config):
        spec = task.spec
        over_scores = spec.family in ("late", "system") or spec.classifier in ("head", "probe")
        assert bool(spec.scores_from) == over_scores
        assert bool(spec.probe) == (over_scores and "text" in spec.modalities)
        assert set(spec.probes) == ({"text"} if over_scores and len(spec.modalities) > 1 else set())


def test_a_candidate_layer_is_the_cell_that_it_becomes(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store(widths={"audio": 6}, layers=2)
    prepared = prepare(
        replace(config, layer="valid", classifiers=("svm",), early=None, late=None, systems=())
    )
    tasks = bind_cells(prepared, prepared.cells, {}, {})
    of_layer = {t.key for t in tasks if t.cell.family == "layer" and t.cell.layer == 0}
    assert of_layer == {t.key for t in tasks if t.cell.classifier == "svm" and t.cell.layer < 0}


@pytest.mark.telling
def test_a_worker_needs_the_specification_alone(make_store: MakeStore, config: GridConfig) -> None:
    make_store()
    run_grid(config)
    names = {f.name for f in fields(CellSpec)} - {"source"} | {f.name for f in fields(FoldSource)}
    for task in tasks_of(config):
        with np.load(task.path, allow_pickle=False) as file:
            record = json.loads(file["record"].tobytes())
        assert record["what"] == json.loads(json.dumps(numbers_of(task.spec)))
        assert (
            set(record["what"]) == names - CHANGE_NO_NUMBER[CellSpec] - CHANGE_NO_NUMBER[FoldSource]
        )
        node = task.cell.tree(task.settings, prepare(config).scores_from, task.spec.fit_rows)
        again = task.spec.cell.tree(task.settings, task.spec.scores_from, task.spec.fit_rows)
        assert again == node
    spec = next(t.spec for t in tasks_of(config) if t.cell.family == "system")
    alone = replace(spec, folder=config.out / "alone", probes={})
    run_cell(alone)
    contents = [np.load(path, allow_pickle=False)["train.test"] for path in (spec.path, alone.path)]
    np.testing.assert_array_equal(*contents)


# ---- every option of the configuration

# option: which store, what else is set, and what the option is changed to
CHANGE_KEYS: Mapping[str, tuple[str, Mapping[str, object], object]] = {
    "corpus": ("two corpora", {"corpus": "toy"}, "iemocap"),
    "modalities": ("three", {}, ("audio", "text")),
    "metadata": ("plain", {}, ("age",)),
    "encoders": ("two encoders", {"encoders": {"audio": "enc-audio@000000000000"}}, None),
    "encoder_seeds": ("trained", {"encoder_seeds": (0,)}, (1,)),
    "layer": ("layers", {"layer": "0"}, "1"),
    "layers": ("layers", {"layers": "0", "systems": ()}, "0-1"),
    "layers_as": ("layers", {"layers": "0-1", "layers_as": "mean", "systems": ()}, "concat"),
    "views": ("layers", {"views": ("audio.L0", "text.L0"), "systems": ()}, ("audio.L0", "text.L1")),
    "folds": ("plain", {"accept": ("speakers",)}, "group-kfold:4"),
    "valid": ("plain", {}, "none"),
    "protocol": ("plain", {"accept": ("speakers",)}, "group-stratified-kfold:3"),
    "label_set": ("iemocap", {}, "iemocap-4"),
    "fit_rows": ("plain", {}, "train+valid"),
    "choose": ("plain", {}, "inner"),
    "inner_folds": ("trained", {"fit_rows": "oof", "encoder_seeds": (0,), "inner_folds": 2}, 3),
    "classifiers": ("plain", {}, ("svm",)),
    "early": ("plain", {}, ("sum",)),
    "late": ("plain", {}, ("product",)),
    "project": ("unequal", {"early": ("sum",), "project": "pca:2"}, "pca:3"),
    "systems": ("plain", {}, ()),
    "subsets": ("three", {}, True),
    "subsets_by": ("layers", {"layers": "0-1", "subsets": True, "systems": ()}, "view"),
    "drop_rates": ("plain", {}, (0.5,)),
    "drop_seed": ("plain", {"drop_rates": (0.5,)}, 1),
    "settings": ("plain", {}, {"nn": {"epochs": 3.0}}),
    "seeds": ("plain", {}, (1,)),
    "shuffle_seed": ("plain", {}, 1),
    "tune": ("plain", {}, 2),
    "tune_minutes": ("plain", {"tune": 2}, 1.0),
    "tune_on": ("plain", {"tune": 2}, "valid"),
    "valid_split": ("plain", {}, 0),
}
CHANGE_NO_KEY: Mapping[str, tuple[str, object]] = {
    "store": ("content digests say what lies there", None),
    "out": ("where results are written", Path("elsewhere")),
    "protocol_files": ("where a protocol's folds lie; the digest of the plan counts", None),
    "select_on": ("lets rows through the gate, and chooses among finished cells", "test"),
    "choose_on": ("lets fitted rows choose, which are refused without it", None),
    "calibrate": ("is fitted to finished cells as results are written", "temperature"),
    "accept": ("lets a finding of the audit pass", ("speakers",)),
    "jobs": ("how many processes compute", 3),
}


@pytest.fixture
def store_called(
    make_store: MakeStore, make_trained: MakeStore, tmp_path: Path
) -> Callable[[str], Path]:
    def labelled_as_iemocap(store: Path, corpus: str) -> Path:
        manifest = Manifest.load(store / corpus)
        labels = np.array(["ang", "hap", "exc", "neu", "sad"])[np.arange(len(manifest)) % 5]
        columns = {str(c): manifest.table[c].to_numpy() for c in manifest.table.columns}
        Manifest.from_columns(corpus, columns | {"label": labels}, protocol=manifest.protocol).save(
            store / corpus
        )
        return store

    def with_ages(store: Path) -> Path:
        manifest = Manifest.load(store / "toy")
        columns = {str(c): manifest.table[c].to_numpy() for c in manifest.table.columns}
        ages = [str(20 + i % 40) for i in range(len(manifest))]
        Manifest.from_columns(
            "toy",
            columns | {"meta_age": ages},
            protocol=manifest.protocol,
            tags={"meta_age": "safe"},
        ).save(store / "toy")
        return store

    def make(name: str) -> Path:
        if name == "two corpora":
            make_store(corpus="iemocap")
        elif name == "two encoders":  # modalities in another order give other fingerprints
            make_store(widths={"text": 6, "audio": 6})
            return make_store(widths={"audio": 6, "text": 6})
        elif name == "trained":
            make_trained(inner=3, seeds=(0,))
            return make_trained(inner=2, seeds=(0, 1))
        elif name == "iemocap":
            return labelled_as_iemocap(make_store(corpus="iemocap"), "iemocap")
        elif name == "plain":
            return with_ages(make_store())
        more: dict[str, dict[str, object]] = {
            "layers": {"layers": 2},
            "unequal": {"widths": {"audio": 6, "text": 4}},
            "three": {"widths": {"audio": 6, "text": 6, "video": 6}},
        }
        return make_store(**more.get(name, {}))

    return make


def test_every_option_of_the_configuration_is_walked() -> None:
    options = {f.name for f in fields(GridConfig)}
    assert options == set(CHANGE_KEYS) | set(CHANGE_NO_KEY)
    assert not set(CHANGE_KEYS) & set(CHANGE_NO_KEY)
    assert all(reason for reason, _ in CHANGE_NO_KEY.values())


@pytest.mark.parametrize("option", list(CHANGE_KEYS))
def test_an_option_that_may_change_a_number_changes_a_key(
    store_called: Callable[[str], Path], config: GridConfig, option: str
) -> None:
    store, others, value = CHANGE_KEYS[option]
    store_called(store)
    if option == "encoders":
        value = {"audio": "enc-audio@100000000000", "text": "enc-text@000000000000"}
        others = {"encoders": {**value, "audio": "enc-audio@000000000000"}}
    before = replace(config, **others)  # type: ignore[arg-type]
    after = replace(before, **{option: value})  # type: ignore[arg-type]
    assert {t.key for t in tasks_of(before)} != {t.key for t in tasks_of(after)}


@pytest.mark.parametrize("option", [name for name, (_, v) in CHANGE_NO_KEY.items() if v])
def test_an_option_that_changes_no_number_changes_no_key(
    make_store: MakeStore, config: GridConfig, option: str
) -> None:
    make_store()
    after = replace(config, **{option: CHANGE_NO_KEY[option][1]})  # type: ignore[arg-type]
    assert [t.key for t in tasks_of(config)] == [t.key for t in tasks_of(after)]


def test_a_store_that_was_moved_keeps_its_keys(make_store: MakeStore, config: GridConfig) -> None:
    before = [t.key for t in tasks_of(replace(config, store=make_store()))]
    moved = replace(config, store=make_store(where="moved"))
    assert [t.key for t in tasks_of(moved)] == before


def test_versions_are_those_of_the_libraries_that_are_imported() -> None:
    libraries = {name: import_module(name).__version__ for name in LIBRARIES}
    assert library_versions() == libraries


# ---- cells of older versions


@pytest.mark.telling
def test_cells_of_an_older_version_are_computed_again_and_said_once(
    make_store: MakeStore, config: GridConfig
) -> None:
    make_store()
    config = replace(config, classifiers=("svm",), late=(), systems=())
    run_grid(config)
    cells = config.out / "cells"
    there = sorted(cells.glob("*.npz"))
    assert cells_of_older_versions(cells) == 0
    for position, path in enumerate(there):
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        record = json.loads(arrays["record"].tobytes())
        if position % 2:
            record["what"]["algorithm"] = ALGORITHM - 1
        else:  # up to version 3 the record did not hold it
            del record["what"]["algorithm"]
        arrays["record"] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
        path.unlink()
        np.savez(path.with_name(f"svm.fold-1.{position:012x}.npz"), **arrays)
    (cells / "svm.fold-1.broken.npz").write_bytes(b"no cell")
    lines: list[str] = []
    run_grid(config, lines.append)
    assert lines == [f"{len(there)} finished cells of an older version are computed again"]
    lines.clear()
    run_grid(config, lines.append)
    run_grid(replace(config, settings={"svm": {"c": 2.0}}), lines.append)
    assert lines == []
