"""A bundle is scored on rows that it has not seen; classes meet by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.bundle.bundle import read_bundle
from classify.commands import score_model as command
from classify.labelling.aggregate import RULES, label_file
from classify.labelling.score import score_model
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LabelError, LeakError, StoreNotFoundError, UnknownNameError
from embeddings_store.store import open_store
from embeddings_store.vectors.arrays import Embeddings
from embeddings_store.vectors.catalogue import catalogue
from embeddings_store.vectors.hdf5 import read_embeddings, store_path, write_embeddings

NAMES = {"anger": "anger", "neutral": "calm", "sadness": "boredom"}


def other_corpus(store: Path, folder: Path, shift: float, corpus: str = "other") -> Path:
    """Make a corpus of the example's vectors, a little moved, with two classes of other names."""
    manifest = open_store(store).manifest("example")
    labels = [NAMES[label] for label in manifest.column("label").tolist()]
    columns = {"id": [f"x{i}" for i in range(len(labels))], "label": labels}
    columns |= {"speaker": [f"p{i % 5}" for i in range(len(labels))]}
    columns |= {"text": manifest.column("text").tolist(), "audio": [""] * len(labels)}
    columns["text"] = ["words"] * len(labels)
    other = Manifest.from_columns(corpus, columns)
    other.save(folder / corpus)
    for entry in catalogue(store, "example"):
        file = read_embeddings(entry.path)
        inputs = file.inputs
        made = Embeddings(
            other.ids,
            (file.vectors + np.float32(shift)).astype(np.float32),
            np.full(len(other), "no"),
            file.status,
            file.reason,
            file.encoder,
            inputs=inputs,
        )
        about = {"corpus": corpus, "inputs_digest": other.inputs_digest_of(entry.ref.modality)}
        about |= {"settings": dict(entry.settings), "provenance": {}}
        write_embeddings(store_path(folder, corpus, entry.ref, "any"), made, about)
    return folder


def test_classes_meet_by_name_and_the_others_are_counted(
    exported: Path, store: Path, tmp_path: Path
) -> None:
    bundle = read_bundle(exported)
    folder = other_corpus(store, tmp_path, 0.01)
    found = score_model(bundle, folder, "other", label_map={"calm": "neutral"})
    assert found.other_classes == {"boredom": 16}
    assert found.coverage == pytest.approx(32 / 48)
    assert found.accuracy_of_all == pytest.approx((found.y_true == found.y_pred).sum() / 48)
    assert found.figures["WA"].value > 0.6 and found.figures["WA"].clusters == 5
    assert "coverage 66.7 %" in found.lines()[0]


def test_the_model_answers_rows_as_it_does_anywhere(
    exported: Path, store: Path, tmp_path: Path
) -> None:
    bundle = read_bundle(exported)
    folder = other_corpus(store, tmp_path, 0.0)
    names = {"calm": "neutral", "boredom": "sadness"}
    found = score_model(bundle, folder, "other", label_map=names)
    files = {e.ref.modality: read_embeddings(e.path) for e in catalogue(store, "example")}
    vectors = {view: file.vectors for view, file in files.items()}
    present = {view: file.ok for view, file in files.items()}
    np.testing.assert_array_equal(found.y_pred, bundle.system.answer(vectors, present).labels)


def test_rows_that_it_was_fitted_on_are_refused(exported: Path, store: Path) -> None:
    bundle = read_bundle(exported)
    with pytest.raises(LeakError, match="was fitted on 48 rows of corpus 'example'"):
        score_model(bundle, store, "example")
    with pytest.raises(LabelError, match="no row that can be scored"):
        score_model(bundle, store, "example", skip_seen=True)


def test_a_clip_that_it_has_heard_is_known_under_another_name(
    exported: Path, store: Path, tmp_path: Path
) -> None:
    """By the digest of what the encoder was given, which the store keeps for each row."""
    bundle = read_bundle(exported)
    folder = other_corpus(store, tmp_path, 0.0)
    (entry,) = [e for e in catalogue(folder, "other") if e.ref.modality == "audio"]
    file = read_embeddings(entry.path)
    inputs = np.array([f"{i:016x}" for i in range(len(file.ids))])
    seen = {**bundle.seen.inputs, "audio": np.array([3, 4], dtype=np.uint64)}
    made = Embeddings(
        file.ids, file.vectors, file.seen, file.status, file.reason, file.encoder, inputs=inputs
    )
    write_embeddings(entry.path, made, file.attributes)
    object.__setattr__(bundle.seen, "inputs", seen)
    names = {"calm": "neutral", "boredom": "sadness"}
    with pytest.raises(LeakError, match=r"on 2 rows of corpus 'other' \(first 'x3'\)"):
        score_model(bundle, folder, "other", label_map=names)
    assert score_model(bundle, folder, "other", label_map=names, skip_seen=True).n_left_out == 2


def test_vectors_of_another_encoder_are_not_taken_for_its_own(
    exported: Path, store: Path, tmp_path: Path
) -> None:
    folder = other_corpus(store, tmp_path, 0.0)
    (entry,) = [e for e in catalogue(folder, "other") if e.ref.modality == "audio"]
    (folder / "other" / entry.ref.folder).rename(tmp_path / "away")
    with pytest.raises(StoreNotFoundError, match="has no audio vectors by imported-audio"):
        score_model(read_bundle(exported), folder, "other")


def test_an_encoder_is_known_by_its_fingerprint_whatever_its_folder_is_called(
    exported: Path, store: Path, tmp_path: Path
) -> None:
    folder = other_corpus(store, tmp_path, 0.01)
    bundle = read_bundle(exported)
    before = score_model(bundle, folder, "other")
    for entry in catalogue(folder, "other"):
        file = read_embeddings(entry.path)
        renamed = replace(file, encoder=replace(file.encoder, name="renamed"))
        path = store_path(folder, "other", renamed.encoder, "any")
        write_embeddings(path, renamed, file.attributes)
        entry.path.unlink()
    np.testing.assert_array_equal(score_model(bundle, folder, "other").y_pred, before.y_pred)


def test_a_misspelt_class_is_named(exported: Path, store: Path, tmp_path: Path) -> None:
    folder = other_corpus(store, tmp_path, 0.0)
    for label_map in ({"clam": "neutral"}, {"calm": "neutrality"}):
        with pytest.raises(UnknownNameError, match="unknown class"):
            score_model(read_bundle(exported), folder, "other", label_map=label_map)


def test_the_command_prints_figures_and_writes_answers(
    exported: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = other_corpus(store, tmp_path, 0.01)
    status = command.main(
        [
            *(str(exported), "--store", str(folder), "--corpus", "other"),
            *("--label-map", "calm=neutral", "--predictions", str(tmp_path / "answers.csv")),
        ]
    )
    said = capsys.readouterr().out
    assert status == 0 and "UAR" in said and "boredom 16" in said
    assert len(pd.read_csv(tmp_path / "answers.csv")) == 32


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_prefers_a_class(rule: str) -> None:
    """Windows under any other order of the classes have the same label."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        p = rng.integers(1, 4, size=(rng.integers(1, 5), 3)).astype(float)
        p /= p.sum(axis=1, keepdims=True)
        top = [np.flatnonzero(row == row.max()) for row in p]
        labels = np.array([rng.choice(best) for best in top])
        order = rng.permutation(3)
        back = np.argsort(order)
        first = label_file(rule, labels, p)
        second = label_file(rule, back[labels], p[:, order])
        assert first.code == (-1 if second.code < 0 else order[second.code])
        assert set(first.tied) == {order[code] for code in second.tied}
