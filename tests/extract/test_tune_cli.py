"""``extract-features`` as a command that fine-tunes.

What it says, what it refuses, what a dry run promises.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numbered_videos
import numpy as np
import pytest
import soundfile
import tiny_encoders
import torch
import tuning

import extract.pipeline.finetuning_prepare
import extract.pipeline.job
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.check_corpus import main as check_corpus
from extract.commands.extract_features import main
from extract.encoders import load_encoder
from extract.pipeline import estimate
from extract.pipeline.estimate import _step


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model per modality."""
    folder = tmp_path_factory.mktemp("models")
    names = {"text": "distilbert-base-uncased", "audio": "whisper-tiny", "video": "videomae-base"}
    return {
        modality: tiny_encoders.save(tuning.spec_named(name), folder)
        for modality, name in names.items()
    }


@pytest.fixture
def rows(tmp_path):
    """The small corpus as real files: sounds, and spans of one film."""
    folder = tmp_path / "c"
    path = tuning.write_corpus(
        folder,
        video=["film.avi"] * 16,
        text=tuning.items("text"),
        audio=["a.wav"] * 16,
        start_s=[0.25 * i for i in range(16)],
        end_s=[0.25 * i + 0.25 for i in range(16)],
    )
    soundfile.write(
        folder / "a.wav", np.random.default_rng(0).standard_normal(4 * 16_000) * 0.1, 16_000
    )
    numbered_videos.write(folder / "film.avi", count=120)
    return path


def test_check_corpus_says_what_training_would_cost(rows, models, capsys, monkeypatch):
    monkeypatch.chdir(rows.parent)
    asked = ["--corpus", "manifest", "--root", str(rows), "--media", "none", "--estimate"]
    check_corpus(["--corpus", "manifest", "--root", str(rows), "--media", "none"])
    assert "GPU memory" not in capsys.readouterr().out
    assert check_corpus([*asked, f"text={models['text']}", f"audio={models['audio']}"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("fine-tuning on")] == [
        "fine-tuning on text, fold 1",
        "fine-tuning on audio, fold 1",
    ]
    assert out.count("GPU memory: about") == out.count("this is one of 4 folds") == 2
    assert check_corpus([*asked, "sound"]) == 2
    assert not (rows.parent / "embeddings").exists()


def test_kept_bytes_grow_with_the_batch_and_not_with_the_weights(models):
    encoder = load_encoder(str(models["text"]), device="cpu")
    short, long = (
        _step(encoder, ["so it goes"] * 2)[1],
        _step(encoder, ["so it goes " * 20] * 2)[1],
    )
    assert 0 < short < long / 4
    assert _step(encoder, ["so it goes"] * 4)[1] < 1.5 * short


@dataclass
class Slow:
    """An encoder that takes as long for a row as one of base size, and counts the rows."""

    device: torch.device
    rows: int = 0

    def encode(self, inputs):
        self.rows += len(inputs)
        time.sleep(0.02)
        return np.zeros((len(inputs), 1, 1), dtype=np.float32)


@pytest.mark.parametrize(("device", "rows"), [("cpu", 1), ("cuda", 5)])
def test_one_row_that_takes_long_on_a_processor_is_all_that_is_tried(device, rows, monkeypatch):
    monkeypatch.setattr(estimate, "LONG_ROW_S", 0.01)
    encoder = Slow(torch.device(device))
    per_row_s, measured = estimate._encoding_s(
        encoder, ["a", "so it goes", "b", "c"], encoder.device
    )
    assert (encoder.rows, measured) == (rows, min(rows, 4))
    assert per_row_s >= 0.02


def test_a_training_step_that_takes_long_is_tried_with_the_longest_row_alone(models, monkeypatch):
    encoder = load_encoder(str(models["text"]), device="cpu")
    items = ["so it goes", "so it goes " * 20, "so"]
    assert _step(encoder, items)[2] == 3
    monkeypatch.setattr(estimate, "LONG_ROW_S", 0.0)
    _, row_bytes, measured = _step(encoder, items)
    assert measured == 1
    assert row_bytes == pytest.approx(_step(encoder, items[1:2])[1], rel=0.01)


def test_a_dry_run_of_all_folds_loads_the_encoder_once(rows, models, monkeypatch):
    loaded = []
    real = extract.pipeline.finetuning_prepare.load_for_training
    monkeypatch.setattr(
        extract.pipeline.finetuning_prepare,
        "load_for_training",
        lambda *asked: loaded.append(asked) or real(*asked),
    )
    base = command(rows, models["text"], "text", "--epochs", "1", "--batch-size", "4")
    assert main([*base, "--fold", "all", "--dry-run"]) == 0
    assert len(loaded) == 1


@pytest.mark.parametrize(("asked", "used"), [(None, "passive"), ("active", "active")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(asked, used, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", asked or "")
    if asked is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["--list"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == used


def command(rows: Path, model: Path, modality: str, *more: str) -> list[str]:
    return [
        "--corpus",
        "manifest",
        "--root",
        str(rows),
        "--modality",
        modality,
        "--encoder",
        str(model),
        "--store",
        str(rows.parent.parent / "e"),
        "--device",
        "cpu",
        *more,
    ]


@pytest.mark.parametrize("modality", ["text", "audio", "video"])
def test_from_files_to_folds(rows, models, capsys, modality):
    base = command(rows, models[modality], modality, "--epochs", "1", "--batch-size", "4")
    assert main([*base, "--fold", "all", "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert dry.count("would be made; 2 of 2 steps and 16 rows to do") == 4
    assert dry.count("s per step of 4 rows") == 4
    assert (
        "MB while training" in dry
        and dry.count("for a batch of 4 as long as the longest probed row") == 4
    )
    assert not (rows.parent.parent / "e").exists()
    assert main([*base, "--fold", "all"]) == 0
    shown = capsys.readouterr()
    files = [Path(line) for line in shown.out.splitlines()]
    assert [path.name for path in files] == [f"fold-{k}.h5" for k in (1, 2, 3, 4)]
    assert (
        f"{modality} fold 2, seed 0: 8 rows train, 4 choose the epoch (valid-session); 1 epochs "
        "of batch 4" in shown.err
    )
    assert shown.err.count("rows: 16 rows") == 1
    made = [read_embeddings(path) for path in files]
    assert all(file.ok.all() and file.scores is not None for file in made)
    assert len({file.encoder for file in made}) == 1
    assert main([*base, "--fold", "2", "--dry-run"]) == 0
    assert capsys.readouterr().out.strip() == f"{files[1]}: exists"
    assert main([*base, "--fold", "2"]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_pictures_are_decoded_once_for_all_folds_and_epochs(rows, models, capsys, monkeypatch):
    import extract.frames.clips as clips

    opened = []
    real = clips.VideoFile.__init__
    monkeypatch.setattr(
        clips.VideoFile, "__init__", lambda self, *a, **k: opened.append(a) or real(self, *a, **k)
    )
    assert main([*command(rows, models["video"], "video", "--epochs", "2"), "--fold", "all"]) == 0
    assert len(opened) == 1, "one film, opened once for four folds"
    assert (rows.parent.parent / "e" / ".frames").is_dir()


def test_a_frozen_video_encoder_takes_the_same_options(rows, models, capsys):
    base = command(rows, models["video"], "video", "--frozen", "--frame-rule", "consecutive")
    assert main([*base, "--dry-run"]) == 0
    assert "16 to make" in capsys.readouterr().out
    assert main([*base, "--region", "half"]) == 2
    assert "no row says which: write left or right" in capsys.readouterr().err
    assert main(base) == 0
    file = read_embeddings(Path(capsys.readouterr().out.strip()))
    assert file.attributes["settings"]["frame_rule"] == "consecutive"


def test_seeds_and_inner_folds(rows, models, capsys):
    assert (
        main(
            command(
                rows,
                models["text"],
                "text",
                "--fold",
                "1",
                "--seed",
                "0,7",
                "--inner-folds",
                "2",
                "--epochs",
                "1",
            )
        )
        == 0
    )
    files = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [(path.parent.name, path.stem) for path in files] == [
        (seed, fold)
        for seed in ("seed-0", "seed-7")
        for fold in ("fold-1", "fold-1.inner-1", "fold-1.inner-2")
    ]
    outer, *inner = (read_embeddings(path) for path in files[:3])
    for part in inner:
        left_out = (outer.seen == "fit") & (part.seen == "no")
        assert left_out.sum() == 4
    assert {file.encoder.fingerprint for file in inner} != {outer.encoder.fingerprint}


def test_the_corpus_is_read_once(rows, models, capsys, monkeypatch):
    read, real = [], extract.pipeline.job.read_corpus
    monkeypatch.setattr(
        extract.pipeline.job,
        "read_corpus",
        lambda *given, **options: read.append(given) or real(*given, **options),
    )
    assert main(command(rows, models["text"], "text", "--fold", "all", "--epochs", "1")) == 0
    assert len(read) == 1


def test_a_dry_run_says_what_an_interrupted_one_has_left(rows, models, capsys, monkeypatch):
    base = command(
        rows, models["text"], "text", "--fold", "1", "--epochs", "3", "--batch-size", "4"
    )
    with monkeypatch.context() as killed:
        killed.setattr(
            "extract.finetuning.trainer._accuracy",
            lambda prediction: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        assert main(base) == 130
    assert "goes on from there" in capsys.readouterr().err
    with monkeypatch.context() as killed:
        killed.setattr(
            "extract.finetuning.model_files.save_model",
            lambda *given: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        assert main(base) == 130
    assert main([*base, "--dry-run"]) == 0
    assert "a checkpoint of step 6 is there; 0 of 6 steps" in capsys.readouterr().out
    with monkeypatch.context() as killed:
        killed.setattr(
            "extract.pipeline.finetuning_run._dump",
            lambda *given: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        assert main(base) == 130
    assert main([*base, "--dry-run"]) == 0
    assert "trained, not dumped; 0 of 6 steps and 16 rows to do" in capsys.readouterr().out


def test_failed_clips_are_listed_and_change_the_exit_status(rows, models, capsys):
    text = (
        rows.read_text()
        .replace("film.avi,1.0,", "film.avi,900.0,")
        .replace(",900.0,1.25", ",900.0,901.0")
    )
    rows.write_text(text)
    assert main(command(rows, models["audio"], "audio", "--fold", "1", "--epochs", "1")) == 4
    shown = capsys.readouterr().err
    assert "1 rows cannot be read and are left out of training, first u04" in shown
    assert "1 clips failed:\n  u04: a.wav" in shown


@pytest.mark.parametrize(
    ("more", "code", "expected"),
    [
        (["--frozen", "--fold", "1"], 2, "--fold belongs to fine-tuning"),
        (["--frozen", "--epochs", "3"], 2, "--epochs belongs to fine-tuning"),
        (["--frozen", "--memory-gb", "3"], 2, "--memory-gb belongs to fine-tuning"),
        (["--frozen", "--class-weights"], 2, "--class-weights belongs to fine-tuning"),
        (["--frozen", "--precision", "auto"], 2, "with --frozen it is float32, bf16 or int8"),
        (["--fold", "1", "--precision", "int8"], 2, "int8"),
        (["--fold", "1", "--threads", "2"], 2, "--threads belongs to --frozen"),
        ([], 2, "--fold N"),
        (["--fold", "9"], 3, "has folds 1, 2, 3, 4, not 9"),
        (["--fold", "0"], 3, "not 0"),
        (["--fold", "Ses01"], 2, "a number from 1, all, or final"),
        (["--fold", "1", "--retry-failed"], 2, "--overwrite"),
        (["--fold", "1", "--layer", "3"], 2, "--layer weighted"),
        (["--fold", "1", "--augment", "flip"], 2, "word-dropout"),
        (["--fold", "1", "--augment", "none", "word-dropout"], 2, "stands alone"),
        (["--fold", "1", "--inner-folds", "1"], 2, "2 or more"),
        (["--fold", "1", "--inner-folds", "9"], 2, "as many different values"),
        (["--fold", "final", "--inner-folds", "2"], 2, "trains on all rows"),
        (["--fold", "1", "--seed", "x"], 2, "expected a number"),
        (["--fold", "1", "--seed", "-1"], 2, "--seed -1"),
        (["--fold", "1", "--rule", "fixed-epochs", "--early-stopping", "2"], 2, "rows to look at"),
        (["--fold", "1", "--freeze-layers", "3"], 2, "has 2 layers"),
        (["--fold", "1", "--folds", "split"], 3, "split"),
        (["--fold", "1", "--corpus-option", "x"], 2, "NAME=VALUE"),
    ],
)
def test_mistakes_get_one_helpful_line(rows, models, capsys, more, code, expected):
    assert main(command(rows, models["text"], "text", *more)) == code
    shown = capsys.readouterr().err.strip().splitlines()
    assert expected in shown[-1]
    assert not list((rows.parent.parent / "e").rglob("*.h5"))
