"""The generated demo.

Same bytes, whole or absent, readable as IEMOCAP, and exactly as hard as it says.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.atomic import exclusive
from embeddings_store.errors import (
    ManifestError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    UnknownNameError,
)
from embeddings_store.folds.rules import make_plan
from extract.corpora import READERS, demo, demo_release, read_corpus
from extract.corpora.demo_release import RECORD, design, design_of, film, generate
from extract.corpora.demo_release.design import (
    CLASSES,
    FIDELITY,
    PRIORS,
    best_possible,
    ideal_accuracy,
)
from extract.corpora.demo_release.words import sentence
from extract.corpora.demo_release.writing import write_dialogue
from extract.encoders import load_encoder
from extract.finetuning.settings import TrainingSettings
from extract.frames.decoders import Decoder
from extract.frames.index import scan
from extract.frames.settings import REGIONS

REPOSITORY = Path(__file__).resolve().parents[2]
SUBSETS = [["text"], ["video"], ["text", "audio"], ["audio", "video"], ["text", "audio", "video"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the release without films."""
    root = tmp_path_factory.mktemp("demo")
    read_corpus("demo", root, video=False)
    return root


def contents(release: Path) -> dict[str, bytes]:
    return {
        path.relative_to(release).as_posix(): path.read_bytes()
        for path in sorted(release.rglob("*"))
        if path.is_file()
    }


def test_reads_as_iemocap(folder: Path) -> None:
    manifest = read_corpus("demo", folder, video=False)
    assert (manifest.name, len(manifest), manifest.table["speaker"].nunique()) == ("demo", 600, 10)
    assert manifest.root == demo.release_folder(folder, 0, False).resolve()
    assert manifest.table.groupby("session")["label"].nunique().tolist() == [5] * 5
    assert (
        not manifest.has("video")
        and (manifest.column("audio") != "").all()
        and (manifest.column("text") != "").all()
    )
    plan = make_plan(manifest)
    assert (plan.name, len(plan)) == ("leave-one-session-out", 5)
    notes = "\n".join(manifest.notes)
    assert (
        "600 of 620 turns" in notes
        and "text + audio + video 80.3%" in notes
        and "count differs" not in notes
    )
    assert "FXX0" in notes
    six = read_corpus("demo", folder, video=False, label_set="iemocap-6")
    assert len(six) > 600 and not set(six.ids) <= set(manifest.ids)


def test_labels_are_the_designs(folder: Path) -> None:
    manifest = read_corpus("demo", folder, video=False)
    turns = {turn.id: turn for turn in design_of(demo.release_folder(folder, 0, False))}
    assert manifest.labels is not None
    assert [turns[i].label for i in manifest.ids] == [
        manifest.labels.classes[code] for code in manifest.codes()
    ]
    assert manifest.labels.classes == CLASSES


def test_wavs_are_16_khz_and_as_long_as_their_turns(folder: Path) -> None:
    manifest = read_corpus("demo", folder, video=False)
    assert manifest.root is not None
    for position in (0, 100, 599):
        row = manifest.table.iloc[position]
        with wave.open(str(manifest.root / row["audio"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            assert file.getnframes() / 16_000 == pytest.approx(
                row["meta_video_end_s"] - row["meta_video_start_s"], abs=1e-4
            )
            said = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        assert 500 < np.abs(said).max() < 32_767
        session = manifest.root / row["session"].replace("Ses0", "Session")
        with wave.open(str(session / "dialog" / "wav" / f"{row['group']}.wav")) as file:
            file.setpos(round(row["meta_video_start_s"] * 16_000))
            assert np.array_equal(np.frombuffer(file.readframes(len(said)), dtype=np.int16), said)


def test_same_seed_same_bytes_other_seed_other_bytes(folder: Path, tmp_path: Path) -> None:
    first = contents(demo.release_folder(folder, 0, False))
    assert contents(generate(tmp_path / "again", 0, video=False)) == first
    write_dialogue(tmp_path / "other", design.draw(1)[0], [1, 1], video=False)
    other = contents(tmp_path / "other")
    assert len(other) == 34
    assert not any(first.get(name) == data for name, data in other.items())


def test_films_are_deterministic_and_decodable(tmp_path: Path) -> None:
    dialogue = design.draw(0)[0]
    for name in ("a.avi", "b.avi"):
        film.shoot(dialogue, tmp_path / name, [0, 1, 2])
    assert (tmp_path / "a.avi").read_bytes() == (tmp_path / "b.avi").read_bytes()
    assert b"DIVX" in (tmp_path / "a.avi").read_bytes()[:4096]
    index = scan(tmp_path / "a.avi")
    assert index.fps == pytest.approx(29.97, abs=0.01)
    assert index.duration_s == pytest.approx(dialogue.end_s, abs=0.2)
    turn = dialogue.turns[5]
    wanted = index.shown_at(np.array([(turn.start_s + turn.end_s) / 2, turn.end_s - 0.1]))
    decoder = Decoder(tmp_path / "a.avi", index, 1)
    picture, later = (shown.astype(float) for shown in decoder.pictures(wanted.tolist()))
    decoder.close()
    assert picture.shape == (480, 720, 3)
    assert picture[:100].mean() < 5 and picture[380:].mean() < 5 and picture[120:360].mean() > 80
    motion = np.abs(picture - later).mean(axis=(0, 2))
    left, right = motion[:360].mean(), motion[360:].mean()
    assert (left > right) == (turn.id[5] == turn.id[-4]), (
        "the speaker moves more, and the marked actor sits on the left"
    )


def test_changed_or_foreign_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(demo.release_folder(folder, 0, False), release)
    assert generate(release, 0, video=False) == release
    with pytest.raises(ManifestError, match="is another demo release"):
        generate(release, 1, video=False)
    next(release.rglob("*.wav")).unlink()
    with pytest.raises(ManifestError, match="was changed since it was generated"):
        generate(release, 0, video=False)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ManifestError, match="exists and is no demo release"):
        generate(tmp_path / "mine")
    (release / RECORD).write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="is not the record of a demo release"):
        design_of(release)


@pytest.mark.telling
def test_killed_generation_starts_over(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "release"
    code = (
        "import sys; from pathlib import Path; from extract.corpora.demo_release import generate; "
        "generate(Path(sys.argv[1]), 0, False)"
    )
    for wait_s in (0.0, 0.3):
        process = subprocess.Popen([sys.executable, "-c", code, str(out)], cwd=REPOSITORY)
        while (
            process.poll() is None
            and not (tmp_path / f".release.{process.pid}.tmp" / "Session1").exists()
        ):
            time.sleep(0.01)  # its own folder, not the one that the life before it left
        time.sleep(wait_s)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists() and list(tmp_path.glob(".release.*.tmp"))
    steps: list[tuple[int, int]] = []
    generate(out, 0, video=False, progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (1, 20) and steps[-1] == (20, 20)
    assert not list(tmp_path.glob(".release.*.tmp"))
    assert contents(out) == contents(demo.release_folder(folder, 0, False))


def test_full_disk_and_interruption_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: BaseException) -> Callable[..., None]:
        def write(release: Path, *_: object) -> None:
            release.mkdir()
            raise error

        return write

    for error, expected in (
        (OSError(errno.ENOSPC, "No space left on device"), StoreFullError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        monkeypatch.setattr(demo_release, "write_dialogue", failing(error))
        with pytest.raises(expected):
            generate(tmp_path / "release")
        assert [path.name for path in tmp_path.iterdir()] == [".release.lock"]


def test_two_generators_do_not_meet(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / ".release.lock", "it"),
        pytest.raises(StoreBusyError, match="another process"),
    ):
        generate(tmp_path / "release")


def test_channels_are_distributions() -> None:
    for modality, fidelity in FIDELITY.items():
        given = design.channel(modality)
        assert given.sum(axis=1) == pytest.approx(1) and np.diag(given) == pytest.approx(fidelity)
        assert (given > 0).all()
    assert sum(PRIORS) == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="did you mean 'audio'"):
        best_possible(["adio"])


@pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
def test_best_possible_agrees_with_simulation(modalities: list[str]) -> None:
    """Draw cues, let a table learnt from one half of them answer for the other half.

    It reaches the bound, not more.
    """
    rng, count = np.random.default_rng(7), 400_000
    labels = rng.choice(4, size=count, p=PRIORS)
    code = np.zeros(count, dtype=int)
    for modality in modalities:
        thresholds = design.channel(modality).cumsum(axis=1)[labels]
        code = code * 4 + (rng.random(count)[:, None] > thresholds[:, :3]).sum(axis=1)
    table = np.zeros((4 ** len(modalities), 4))
    np.add.at(table, (code[::2], labels[::2]), 1)
    reached = np.mean(table.argmax(axis=1)[code[1::2]] == labels[1::2])
    assert reached == pytest.approx(best_possible(modalities), abs=0.005)


def test_plans_follow_the_design() -> None:
    """Over many seeds labels follow the priors, cues the channels, the ideal accuracy the bound."""
    turns = [
        turn
        for seed in range(30)
        for dialogue in design.draw(seed)
        for turn in dialogue.turns
        if turn.label
    ]
    share = np.array([np.mean([turn.label == c for turn in turns]) for c in CLASSES])
    assert share == pytest.approx(PRIORS, abs=0.015)
    for modality in FIDELITY:
        seen = np.array(
            [
                [
                    np.mean([t.cues[modality] == cue for t in turns if t.label == label])
                    for cue in CLASSES
                ]
                for label in CLASSES
            ]
        )
        assert np.abs(seen - design.channel(modality)).max() < 0.03
    for modalities in SUBSETS:
        assert ideal_accuracy(turns, modalities) == pytest.approx(
            best_possible(modalities), abs=0.015
        )


def test_record_is_plain_json(folder: Path) -> None:
    record = json.loads(
        (demo.release_folder(folder, 0, False) / RECORD).read_text(encoding="utf-8")
    )
    assert (record["seed"], record["video"], record["classes"], len(record["turns"])) == (
        0,
        False,
        list(CLASSES),
        620,
    )
    assert record["files"] == 20 * 3 + 620


def test_own_encoders_are_made_once_and_load(tmp_path: Path) -> None:
    reader = READERS["demo"]
    folders = {modality: reader.own_encoder(tmp_path, modality) for modality in FIDELITY}
    made_ns = {modality: Path(folder).stat().st_mtime_ns for modality, folder in folders.items()}
    again = demo.own_encoders(tmp_path / "again")
    for modality, folder in folders.items():
        encoder = load_encoder(folder, device="cpu")
        assert (encoder.spec.modality, encoder.dim, encoder.likely_finetuned) == (
            modality,
            64,
            False,
        )
        assert load_encoder(again[modality], device="cpu").weights_digest == encoder.weights_digest
        assert Path(reader.own_encoder(tmp_path, modality)).stat().st_mtime_ns == made_ns[modality]
    assert sorted(path.name for path in tmp_path.glob("*demo*")) == [
        ".demo-encoders-1.lock",
        "demo-encoders-1",
    ]


def test_own_vocabulary_knows_every_word(tmp_path: Path) -> None:
    encoder = load_encoder(demo.own_encoders(tmp_path)["text"], device="cpu")
    unknown = encoder.prepare("xyzzy")[1]
    rng = np.random.default_rng(0)
    sentences = [sentence(cue, rng) for cue in CLASSES for _ in range(50)]
    assert not any(unknown in encoder.prepare(sentence) for sentence in sentences)


def test_own_training_is_made_of_settings() -> None:
    """A misspelt name would be passed over in silence."""
    for modality in FIDELITY:
        own = dict(READERS["demo"].own_training(modality))
        assert (own.pop("region", None) in REGIONS) == (modality == "video")
        settings = TrainingSettings.for_modality(modality, **own)
        assert {name: getattr(settings, name) for name in own} == own
    assert (
        READERS["ravdess"].own_training("audio"),
        READERS["ravdess"].own_encoder(Path(), "audio"),
    ) == ({}, "")


def test_interrupted_making_of_encoders_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: Path, *_: object) -> None:
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "make_encoders", failing)
    with pytest.raises(KeyboardInterrupt):
        demo.own_encoders(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".demo-encoders-1.lock"]
