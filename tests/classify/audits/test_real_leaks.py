"""CMU-MOSI's real vectors.

Its published leak under five folds, and every other leak planted into them, each found alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify.leakage.case import AuditCase, named_views, read_files
from classify.leakage.checks import run_checks
from classify.leakage.finding import CAUTION, CLEAN, LEAK
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.exchange.interchange import ImportJob, import_vectors
from embeddings_store.folds.plan import Fold, FoldPlan
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.catalogue import catalogue


@pytest.fixture(scope="module")
def mosi(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditCase:
    store = tmp_path_factory.mktemp("mosi")
    rows, source = shared / "data" / "mosi" / "rows.csv", shared / "data" / "mosi" / "features.npz"
    import_vectors(
        ImportJob(source, store, "split:train", rows=rows, corpus="mosi", encoder="published")
    )
    manifest = Manifest.load(store / "mosi")
    plan = make_plan(manifest)
    return AuditCase(
        manifest,
        plan,
        read_files(store, manifest, named_views(e.ref for e in catalogue(store, "mosi")), plan),
    )


def columns(case: AuditCase, **changed: object) -> AuditCase:
    """Return the case with other columns; files and plan stay."""
    return replace(
        case, manifest=replace(case.manifest, table=case.manifest.table.assign(**changed))
    )


def held_out(case: AuditCase) -> np.ndarray:
    return np.flatnonzero(case.plan.fold(1).mask("test"))


def learnt(case: AuditCase) -> np.ndarray:
    return np.flatnonzero(case.plan.fold(1).mask("train"))


def _speakers(case: AuditCase) -> AuditCase:
    names = case.manifest.column("group").astype(object)
    names[np.isin(names, names[held_out(case)][:1])] = names[learnt(case)][0]
    return columns(case, speaker=names)


def _groups(case: AuditCase) -> AuditCase:
    roles = case.plan.fold(1).roles.copy()
    roles[held_out(case)[0]] = 1
    case = columns(case, video="")
    return replace(case, plan=FoldPlan("torn", "none", case.plan.ids, (Fold(1, "torn", roles),)))


def _videos(case: AuditCase) -> AuditCase:
    video = case.manifest.column("video").astype(object)
    video[held_out(case)[0]] = video[learnt(case)[0]]
    return columns(case, video=video)


def _transcripts(case: AuditCase) -> AuditCase:
    text, label = (
        case.manifest.column("text").astype(object),
        case.manifest.column("label").astype(object),
    )
    words = np.char.count(case.manifest.column("text"), " ") + 1
    draw = np.random.default_rng(0)
    source, target = (
        draw.choice(rows[words[rows] >= 8], 60, replace=False)
        for rows in (learnt(case), held_out(case))
    )
    text[target], label[target] = [f"{t.lower()} ..." for t in text[source]], label[source]
    return columns(case, text=text, label=label)


def _media(case: AuditCase) -> AuditCase:
    inputs = np.array([f"{i:016x}" for i in range(len(case.manifest))])
    inputs[held_out(case)[:5]] = inputs[learnt(case)[:5]]
    return replace(case, files=[replace(file, inputs=inputs) for file in case.files])


def _seen(case: AuditCase) -> AuditCase:
    plan = make_plan(case.manifest, "group-kfold:5")
    every = frozenset(fold.number for fold in plan)
    return replace(case, plan=plan, files=[replace(file, folds=every) for file in case.files])


def _choices(case: AuditCase) -> AuditCase:
    seen = case.files[0].seen.astype("U7")
    seen[held_out(case)] = "select"
    return replace(case, files=[replace(case.files[0], seen=seen), *case.files[1:]])


def _permuted(case: AuditCase) -> AuditCase:
    file = case.files[0]
    return replace(
        case,
        files=[
            replace(file, fold="1", attributes={**file.attributes, "labels_shuffled": 0}),
            *case.files[1:],
        ],
    )


def _metadata(case: AuditCase) -> AuditCase:
    case = columns(case, meta_cause=case.manifest.ids)
    return replace(case, metadata=("meta_cause",))


PLANTED: dict[str, Callable[[AuditCase], AuditCase]] = {
    "speakers": _speakers,
    "groups": _groups,
    "videos": _videos,
    "transcripts": _transcripts,
    "media": _media,
    "seen": _seen,
    "choices": _choices,
    "permuted": _permuted,
    "metadata": _metadata,
}


def test_the_official_split_is_clean(mosi: AuditCase) -> None:
    found = run_checks(mosi)
    assert found.verdict == CLEAN
    assert set(found.having("not checked")) == {"speakers", "media", "shuffled"}


def test_five_folds_are_the_published_leak(mosi: AuditCase) -> None:
    found = run_checks(_seen(mosi)).findings["seen"]
    assert found.verdict == LEAK
    assert found.number.startswith("1,447 of 2,199 test rows (65.8 %)")


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found_by_its_own_check_alone(kind: str, mosi: AuditCase) -> None:
    audit = run_checks(PLANTED[kind](mosi))
    assert audit.having(LEAK) == [kind], {name: f.number for name, f in audit.findings.items()}
    assert audit.having(CAUTION) == []
