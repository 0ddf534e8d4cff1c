"""Copies under other names are found by their vectors, and clean corpora are not accused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classify.commands import audit_leakage
from classify.commands import run_fusion_grid as grid
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings
from tests.classify.audits.planted import WORDS

SESSIONS, PER_SESSION, WIDTH, COPIES = 4, 75, 32, 12
ROWS = SESSIONS * PER_SESSION

Vectors = NDArray[np.float32]
Change = Callable[[Vectors, np.random.Generator], Vectors]


@dataclass
class Corpus:
    """Sessions with two speakers and five dialogues each, and vectors of sound that know a little.

    Every sentence, file and input is its own.
    """

    classes: int = 3
    sessions: int = SESSIONS
    protocol: str = "leave-one-session-out"
    modality: str = "audio"
    columns: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    vectors: Vectors = field(init=False)
    inputs: NDArray[np.str_] = field(init=False)
    seen: NDArray[np.str_] = field(default_factory=lambda: np.full(ROWS, "no", dtype="<U7"))

    def __post_init__(self) -> None:
        draw, row = np.random.default_rng(3), np.arange(ROWS)
        session = row // (ROWS // self.sessions)
        of_session = np.arange(ROWS // self.sessions) % self.classes
        label = np.concatenate([draw.permutation(of_session) for _ in range(self.sessions)])
        self.columns = {
            "id": np.array([f"u{i:03d}" for i in row], dtype=object),
            "label": np.array([f"class-{c:02d}" for c in label], dtype=object),
            "text": np.array([" ".join(draw.choice(WORDS, 9)) for _ in row], dtype=object),
            "session": np.array([f"S{s}" for s in session], dtype=object),
            "speaker": np.array([f"S{s}-{i % 2}" for i, s in enumerate(session)], dtype=object),
            "group": np.array([f"S{s}-d{i % 10}" for i, s in enumerate(session)], dtype=object),
            "audio": np.array([f"wav/u{i:03d}.wav" for i in row], dtype=object),
        }
        voices = draw.standard_normal((ROWS, WIDTH))[session * 2 + row % 2]
        cues = draw.standard_normal((max(self.classes, 2), WIDTH))[label] * 0.5
        own = draw.standard_normal((ROWS, WIDTH)) @ draw.standard_normal((WIDTH, WIDTH)) / 4
        self.vectors = (voices + cues + own).astype(np.float32)
        self.inputs = np.array([f"{i:016x}" for i in row])

    def pairs(self, one: str = "S0", other: str = "S2") -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows of a session to copy, and rows of another to copy them into."""
        return tuple(  # type: ignore[return-value]
            np.flatnonzero(self.columns["session"] == name)[:COPIES] for name in (one, other)
        )

    def copy(self, change: Change, one: str = "S0", other: str = "S2") -> None:
        """Make rows of a session copies of another's, in nothing but their vectors."""
        source, copies = self.pairs(one, other)
        self.vectors[copies] = change(self.vectors[source], np.random.default_rng(1))

    def write(self, store: Path) -> None:
        """Write the corpus and its vectors."""
        manifest = Manifest.from_columns("toy", dict(self.columns), protocol=self.protocol)
        manifest.enter(store)
        ref = EncoderRef("enc", "0" * 12, self.modality)
        ok, none = np.full(ROWS, "ok"), np.full(ROWS, "")
        write_embeddings(
            store_path(store, "toy", ref, "any"),
            Embeddings(manifest.ids, self.vectors, self.seen, ok, none, ref, inputs=self.inputs),
            {"corpus": "toy", "inputs_digest": manifest.inputs_digest},
        )

    def audit(
        self, store: Path, capsys: pytest.CaptureFixture[str], *options: str
    ) -> dict[str, Any]:
        """Return what the command ``audit-leakage`` says."""
        self.write(store)
        audit_leakage.main(["--store", str(store), "--json", *options])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["checks"]
        return found


def noise(part: float) -> Change:
    return lambda given, draw: (
        given + part * given.std() * draw.standard_normal(given.shape)
    ).astype(np.float32)


def augmented(given: Vectors, draw: np.random.Generator) -> Vectors:
    """Another gain, a little noise, a little of everything moved."""
    return noise(0.05)(given * 1.3, draw) + np.float32(0.03)


CHANGES: dict[str, Change] = {
    "another id": lambda given, _: given,
    "noise": noise(0.1),
    "another gain": lambda given, _: given * np.float32(0.4),
    "augmented": augmented,
}


def _same_input(corpus: Corpus) -> None:
    source, copies = corpus.pairs()
    corpus.inputs[copies] = corpus.inputs[source]


def _same_transcript(corpus: Corpus) -> None:
    source, copies = corpus.pairs()
    corpus.columns["text"][copies] = corpus.columns["text"][source]


def _same_recording(corpus: Corpus) -> None:
    source, copies = corpus.pairs()
    corpus.columns["audio"][copies] = corpus.columns["audio"][source]
    corpus.columns["start_s"], corpus.columns["end_s"] = np.full(ROWS, 0.0), np.full(ROWS, 2.0)


def _same_name(corpus: Corpus) -> None:
    source, copies = corpus.pairs()
    corpus.columns["id"][copies] = [f"{name}_x2" for name in corpus.columns["id"][source]]


def _same_speaker(corpus: Corpus) -> None:
    """Write their speakers in another way, as two corpora that are joined may."""
    source, copies = corpus.pairs()
    corpus.columns["speaker"][copies] = [f"s_{s[1:]}" for s in corpus.columns["speaker"][source]]


AGREEMENTS: dict[str, Callable[[Corpus], None]] = {
    "input": _same_input,
    "transcript": _same_transcript,
    "name of the speaker": _same_speaker,
    "recording": _same_recording,
    "name": _same_name,
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_that_agree_in_nothing_are_a_caution(
    change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus()
    corpus.copy(CHANGES[change])
    found = corpus.audit(tmp_path, capsys)
    told = found["vectors"]
    assert told["verdict"] == "caution"
    assert told["number"].startswith(f"{2 * COPIES} of {ROWS} test rows (8.0 %)")
    assert told["share"] == pytest.approx(2 * COPIES / ROWS)
    first = told["examples"][0]
    assert " and u" in first and ": distance " in first and ", usually " in first
    assert {n for n, f in found.items() if f["verdict"] in ("leak", "caution")} == {"vectors"}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("agreement", AGREEMENTS)
def test_copies_that_agree_in_something_too_are_a_leak(
    agreement: str, change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus()
    AGREEMENTS[agreement](corpus)
    corpus.copy(CHANGES[change])
    told = corpus.audit(tmp_path, capsys)["vectors"]
    kind = agreement.split()[0]
    assert told["verdict"] == "leak" and f"agree in {kind}" in told["number"]
    assert f", same {kind}" in told["examples"][0]
    assert "drop the copies" in told["advice"]


@pytest.mark.parametrize("agreement", ["input", "transcript", "name"])
def test_a_single_copy_that_agrees_in_something_is_a_leak(
    agreement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("tests.classify.audits.test_vectors.COPIES", 1)
    corpus = Corpus()
    corpus.copy(noise(0.1))
    assert corpus.audit(tmp_path / "a", capsys)["vectors"]["verdict"] == "clean"
    AGREEMENTS[agreement](corpus)
    told = corpus.audit(tmp_path / "b", capsys)["vectors"]
    assert told["verdict"] == "leak" and told["number"].startswith("2 of 300 test rows")
    assert f"2 of them agree in {agreement}" in told["number"]


def test_a_leak_of_validation_rows_is_not_hidden_by_a_caution_of_training_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus(protocol="split")
    session = corpus.columns["session"]
    corpus.columns["split"] = np.where(session == "S2", "valid", "train").astype(object)
    corpus.columns["split"][session == "S3"] = "test"
    corpus.copy(noise(0.05), "S3", "S2")
    source, copies = corpus.pairs("S3", "S2")
    corpus.columns["id"][copies] = [f"{name}_copy" for name in corpus.columns["id"][source]]
    others = np.flatnonzero(session == "S0")[: 2 * COPIES]
    tested = np.flatnonzero(session == "S3")[COPIES : 3 * COPIES]
    corpus.vectors[others] = noise(0.05)(corpus.vectors[tested], np.random.default_rng(2))
    told = corpus.audit(tmp_path, capsys)["vectors"]
    assert told["verdict"] == "leak" and "one validation row" in told["number"]


def test_validation_rows_that_are_copies_of_test_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus(protocol="split")
    session = corpus.columns["session"]
    corpus.columns["split"] = np.where(session == "S2", "valid", "train").astype(object)
    corpus.columns["split"][session == "S3"] = "test"
    corpus.copy(noise(0.05), "S3", "S2")
    told = corpus.audit(tmp_path / "a", capsys)["vectors"]
    assert told["verdict"] == "caution" and "one validation row" in told["number"]
    assert told["number"].startswith(f"{COPIES} of {PER_SESSION} test rows (16.0 %)")
    assert "what is chosen on validation rows fits the test rows" in told["means"]
    source, copies = corpus.pairs("S3", "S2")
    corpus.columns["id"][copies] = [f"copy-of-{name}" for name in corpus.columns["id"][source]]
    assert corpus.audit(tmp_path / "b", capsys)["vectors"]["verdict"] == "leak"


def test_validation_rows_that_are_copies_of_training_rows_are_no_leak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test figure stays honest; what is chosen on those rows is worth less."""
    corpus = Corpus(protocol="split")
    session = corpus.columns["session"]
    corpus.columns["split"] = np.where(session == "S2", "valid", "train").astype(object)
    corpus.columns["split"][session == "S3"] = "test"
    _same_name(corpus)
    corpus.copy(noise(0.05))
    told = corpus.audit(tmp_path, capsys)["vectors"]
    assert told["verdict"] == "caution" and told["share"] is None
    assert "validation rows (16.0 %) are nearer to one training row" in told["number"]
    assert "learnt by heart" in told["means"]


def test_an_augmented_corpus_that_is_split_at_random(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training rows are copies of each other as often as of test rows, and that is not usual."""
    corpus = Corpus(protocol="split")
    half = ROWS // 2
    corpus.vectors[half:] = noise(0.1)(corpus.vectors[:half], np.random.default_rng(1))
    train = np.random.default_rng(2).random(ROWS) < 0.75
    corpus.columns["split"] = np.where(train, "train", "test").astype(object)
    for column in ("group", "speaker"):
        corpus.columns.pop(column)
    told = corpus.audit(tmp_path / "a", capsys)["vectors"]
    assert told["verdict"] == "caution" and told["share"] > 0.5
    ids = corpus.columns["id"]
    ids[half:] = [f"{name}_noise20" for name in ids[:half]]
    assert corpus.audit(tmp_path / "b", capsys)["vectors"]["verdict"] == "leak"


def test_the_grid_refuses_the_leak_and_prints_the_caution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = Corpus()
    corpus.copy(noise(0.1))
    corpus.write(tmp_path / "e")
    quick = ["--classifiers", "svm", "--jobs", "1"]
    assert grid.main(["--store", str(tmp_path / "e"), "--out", str(tmp_path / "r"), *quick]) == 0
    assert "cautions: vectors (8.0 % of test rows)" in capsys.readouterr().out
    _same_name(corpus)
    corpus.write(tmp_path / "f")
    assert grid.main(["--store", str(tmp_path / "f"), "--out", str(tmp_path / "s"), *quick]) == 3
    assert "refused: vectors: " in capsys.readouterr().err


def _many_speakers(count: int) -> Corpus:
    corpus = Corpus(sessions=count, protocol="leave-one-speaker-out")
    corpus.columns["speaker"] = corpus.columns["session"].copy()
    return corpus


def _rare_class() -> Corpus:
    corpus = Corpus()
    corpus.columns["label"][::37] = "rare"
    return corpus


def _unlabelled() -> Corpus:
    corpus = Corpus()
    corpus.columns["label"][np.random.default_rng(0).random(ROWS) < 0.4] = ""
    return corpus


def _templates() -> Corpus:
    """Two sentences, and the vectors of an encoder of text: two different ones in all."""
    corpus = Corpus(modality="text")
    corpus.columns["text"] = np.where(np.arange(ROWS) % 2, "kids talk", "dogs sit").astype(object)
    corpus.vectors[:] = corpus.vectors[np.arange(ROWS) % 2]
    return corpus


def _fillers() -> Corpus:
    """A row in five says yeah, in every session, with the same vector; ten say a rarer word."""
    corpus = Corpus(modality="text")
    for words, rows in (("Yeah.", np.arange(0, ROWS, 5)), ("Mm-hm.", np.arange(1, ROWS, 40))):
        corpus.columns["text"][rows] = words
        corpus.vectors[rows] = corpus.vectors[rows[0]]
    return corpus


def _no_names() -> Corpus:
    corpus = Corpus(protocol="split")
    train = np.random.default_rng(2).random(ROWS) < 0.75
    corpus.columns["split"] = np.where(train, "train", "test").astype(object)
    for column in ("group", "speaker", "session"):
        corpus.columns.pop(column)
    return corpus


def _clustered() -> Corpus:
    """Training as fine-tuning does it: rows stand all but on the centres of their classes."""
    corpus = Corpus()
    label = corpus.columns["label"]
    for name in np.unique(label):
        centre = corpus.vectors[label == name].mean(axis=0)
        corpus.vectors[label == name] = centre + 0.01 * corpus.vectors[label == name]
    # and a third stands on another class', as held-out rows do
    moved = np.random.default_rng(4).permutation(ROWS)[: ROWS // 3]
    corpus.vectors[moved] = corpus.vectors[np.roll(moved, 1)] + 0.01 * np.random.default_rng(
        5
    ).standard_normal((len(moved), WIDTH)).astype(np.float32)
    return corpus


CLEAN: dict[str, Callable[[], Corpus]] = {
    "plain": Corpus,
    "3 speakers": lambda: _many_speakers(3),
    "4 speakers": lambda: _many_speakers(4),
    "2 classes": lambda: Corpus(classes=2),
    "50 classes": lambda: Corpus(classes=50),
    "a rare class": _rare_class,
    "40 % without label": _unlabelled,
    "templates": _templates,
    "fillers": _fillers,
    "no names": _no_names,
    "clustered": _clustered,
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_corpus_is_not_accused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = CLEAN[name]().audit(tmp_path, capsys)
    assert found["vectors"]["verdict"] == "clean", found["vectors"]
    assert found["too-good"]["verdict"] == "clean", found["too-good"]
