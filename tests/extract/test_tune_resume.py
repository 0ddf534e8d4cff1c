"""A fine-tuning that was interrupted, killed or starved of disk ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numbered_videos
import numpy as np
import pytest
import soundfile
import tiny_encoders
import tuning

import extract.finetuning.trainer
import extract.pipeline.encode
import extract.pipeline.finetuning_run
from embeddings_store.atomic import exclusive
from embeddings_store.errors import StoreBusyError, StoreFullError
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main
from extract.finetuning.checkpoints import MARKER, is_complete, mark_complete, remove, resume_point
from extract.pipeline.finetuning_prepare import prepare_finetuning
from extract.pipeline.finetuning_run import run_finetuning

# SpecAugment, dropout and layer drop all draw random numbers in these models.
AUDIO, TEXT, VIDEO = "wav2vec2-base", "bert-base-uncased", "videomae-base"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models with random weights."""
    folder = tmp_path_factory.mktemp("models")
    for name in (AUDIO, TEXT, VIDEO):
        tiny_encoders.save(tuning.spec_named(name), folder)
    return folder


@pytest.fixture
def audio(tmp_path, models, monkeypatch):
    """Make jobs over generated clips; ``store`` names the store."""
    tuning.give_inputs(monkeypatch, tuning.items("audio"))
    rows = tuning.write_corpus(tmp_path / "c")
    plain = {"epochs": 4, "augment": ("noise",), "dropout": 0.1}
    return lambda store="e", **changes: tuning.job(
        rows, models / AUDIO, "audio", store=tmp_path / store, **{**plain, **changes}
    )


def interrupt(after: int):
    """Count steps, and press Ctrl-C after so many."""
    done = []

    def advance(steps: int) -> None:
        done.append(steps)
        if steps and sum(done) == after:
            raise KeyboardInterrupt

    return advance


def assert_same(file, reference, prepared, undisturbed) -> None:
    """Same rows to the bit on one thread, same curve, same epoch, nothing left over."""
    np.testing.assert_array_equal(file.vectors, reference.vectors)
    np.testing.assert_array_equal(file.scores, reference.scores)
    assert tuning.history(prepared).equals(tuning.history(undisturbed))
    for key in ("best_epoch", "weights_digest", "settings"):
        assert file.attributes[key] == reference.attributes[key]
    assert tuning.leftovers(prepared.job.target.folder) == []
    assert not is_complete(prepared.model_folder)


# Eight rows in batches of four: two steps per epoch, so 2, 4 and 6 end an epoch and 3 and 5 lie in
# the middle of one.
@pytest.mark.parametrize(("after", "goes_on_from"), [(1, None), (2, None), (3, 2), (5, 4), (7, 6)])
def test_an_interrupted_training_equals_an_undisturbed_one(audio, after, goes_on_from):
    undisturbed, reference = tuning.run(audio("reference"))
    with pytest.raises(KeyboardInterrupt):
        tuning.run(audio(), tuning.quiet(training=interrupt(after)))
    said, steps = [], []
    prepared, file = tuning.run(audio(), tuning.quiet(said.append, training=steps.append))
    assert_same(file, reference, prepared, undisturbed)
    assert sum(steps) == 8
    assert [s for s in said if f"training was at step {goes_on_from}" in s] or goes_on_from is None
    assert file.attributes["provenance"]["training"]["resumed_from"] == (
        [goes_on_from] if goes_on_from else []
    )


def test_interrupted_again_and_again(audio):
    undisturbed, reference = tuning.run(audio("reference", early_stopping=3))
    for after in (3, 4, 5, 6, 7):
        with pytest.raises(KeyboardInterrupt):
            tuning.run(audio(early_stopping=3), tuning.quiet(training=interrupt(after)))
    prepared, file = tuning.run(audio(early_stopping=3))
    assert_same(file, reference, prepared, undisturbed)


def test_with_accumulation_schedule_and_balance(audio):
    options = {
        "gradient_accumulation": 3,
        "batch_size": 2,
        "scheduler": "cosine",
        "warmup_ratio": 0.3,
        "balanced_sampling": True,
        "class_weights": True,
        "weighted_layers": True,
    }
    undisturbed, reference = tuning.run(audio("reference", **options))
    with pytest.raises(KeyboardInterrupt):
        tuning.run(audio(**options), tuning.quiet(training=interrupt(5)))
    prepared, file = tuning.run(audio(**options))
    assert_same(file, reference, prepared, undisturbed)


@pytest.mark.parametrize("moment", ["save_model", "_dump"])
def test_early_stopping_stops_where_it_would_have_stopped(audio, monkeypatch, moment):
    """Transformers' callback forgets its count on resume, and would train another epoch."""
    accuracies = {1: 0.5, 2: 0.75, 3: 0.75, 4: 0.5}
    told = []

    def accuracy(prediction):
        told.append(len(told) + 1)
        return {"accuracy": accuracies[told[-1]]}

    monkeypatch.setattr(extract.finetuning.trainer, "_accuracy", accuracy)
    job = {"epochs": 9, "early_stopping": 2}
    undisturbed, reference = tuning.run(audio("reference", **job))
    told.clear()
    with pytest.raises(KeyboardInterrupt):  # In the third epoch, one epoch after the best.
        tuning.run(audio(**job), tuning.quiet(training=interrupt(6)))
    told.pop() if len(told) == 3 else None

    def stop(*given, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(
            *(
                (extract.pipeline.finetuning_run, "_dump")
                if moment == "_dump"
                else ("extract.finetuning.model_files.save_model",)
            ),
            stop,
        )
        tuning.run(audio(**job))
    steps = []
    prepared, file = tuning.run(audio(**job), tuning.quiet(training=steps.append))
    assert steps == [], "the training was over"
    assert told == [1, 2, 3, 4]
    assert file.attributes["best_epoch"] == 2
    assert_same(file, reference, prepared, undisturbed)


def prepared_checkpoints(audio, after: int, **changes) -> Path:
    with pytest.raises(KeyboardInterrupt):
        tuning.run(audio(**changes), tuning.quiet(training=interrupt(after)))
    return prepare_finetuning(audio(**changes)).checkpoints


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", ["no marker", "weights", "optimizer", "state", "missing file", "marker"]
)
def test_a_checkpoint_that_is_not_whole_is_discarded(audio, damage):
    undisturbed, reference = tuning.run(audio("reference", rule="fixed-epochs"))
    checkpoints = prepared_checkpoints(
        audio, 8, rule="fixed-epochs"
    )  # 12 rows, three steps per epoch
    newest = checkpoints / "checkpoint-6"
    assert is_complete(newest)
    if damage == "no marker":
        (newest / MARKER).unlink()
    elif damage == "marker":
        (newest / MARKER).write_text("[]")
    elif damage == "missing file":
        (newest / "optimizer.pt").unlink()
    else:
        flip(
            newest
            / {
                "weights": "model.safetensors",
                "optimizer": "optimizer.pt",
                "state": "trainer_state.json",
            }[damage]
        )
    steps = []
    prepared, file = tuning.run(audio(rule="fixed-epochs"), tuning.quiet(training=steps.append))
    assert steps[0] == 0, "without the newest there is nothing to go on from"
    assert_same(file, reference, prepared, undisturbed)


def test_without_the_best_checkpoint_a_later_one_is_of_no_use(audio, monkeypatch):
    """The Trainer would go on and silently end with the last weights instead of the best."""
    accuracies = iter((0.75, 0.5, 0.5, 0.5, 0.75, 0.5, 0.75, 0.5, 0.5, 0.5))
    monkeypatch.setattr(
        extract.finetuning.trainer, "_accuracy", lambda prediction: {"accuracy": next(accuracies)}
    )
    undisturbed, reference = tuning.run(audio("reference"))
    checkpoints = prepared_checkpoints(audio, 5)
    assert sorted(p.name for p in checkpoints.iterdir()) == ["checkpoint-2", "checkpoint-4"]
    flip(checkpoints / "checkpoint-2" / "model.safetensors")
    prepared, file = tuning.run(audio())
    assert file.attributes["best_epoch"] == 1
    assert_same(file, reference, prepared, undisturbed)


def test_a_store_that_was_moved_goes_on(audio, tmp_path):
    undisturbed, reference = tuning.run(audio("reference"))
    prepared_checkpoints(audio, 7)
    (tmp_path / "e").rename(tmp_path / "moved")
    prepared, file = tuning.run(audio("moved"))
    assert_same(file, reference, prepared, undisturbed)
    assert file.attributes["provenance"]["training"]["resumed_from"] == [6]


def test_checkpoints_of_other_rows_are_not_gone_on_from(audio, monkeypatch):
    """A clip that could not be read came back.

    The order of rows is another, and so is the training.
    """
    tuning.give_inputs(monkeypatch, tuning.items("audio"), broken=(9,))
    prepared_checkpoints(audio, 3)
    tuning.give_inputs(monkeypatch, tuning.items("audio"))
    steps = []
    prepared, file = tuning.run(audio(), tuning.quiet(training=steps.append))
    undisturbed, reference = tuning.run(audio("reference"))
    assert sum(steps) == 8
    assert_same(file, reference, prepared, undisturbed)


def test_a_dump_that_was_cut_goes_on_without_training_again(audio, monkeypatch):
    undisturbed, reference = tuning.run(audio("reference"))
    monkeypatch.setattr(extract.pipeline.encode, "COMMIT_EVERY_S", 0.0)
    real, encoded = extract.pipeline.encode._encode_batch, []

    def cut(encoder, items):
        encoded.append(len(items))
        if sum(encoded) > 9:
            raise KeyboardInterrupt
        return real(encoder, items)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(extract.pipeline.encode, "_encode_batch", cut)
        tuning.run(audio())
    said, steps = [], []
    prepared, file = tuning.run(audio(), tuning.quiet(said.append, training=steps.append))
    assert steps == []
    assert any("the training was finished before" in s for s in said)
    assert any("rows were finished before" in s for s in said)
    assert_same(file, reference, prepared, undisturbed)


def test_rows_of_other_weights_are_not_mixed_in(audio, monkeypatch):
    """The model was lost and trained again: on a GPU it would not be the same to the bit."""
    monkeypatch.setattr(extract.pipeline.encode, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(
        extract.pipeline.write, "_assemble", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        tuning.run(audio())
    monkeypatch.undo()
    tuning.give_inputs(monkeypatch, tuning.items("audio"))
    prepared = prepare_finetuning(audio())
    remove(prepared.model_folder)
    about = prepared.dump.running / "rows" / "about.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "weights_digest": "another"}))
    said = []
    prepared, file = tuning.run(audio(), tuning.quiet(said.append))
    assert any("other weights; they are made again" in s for s in said)
    undisturbed, reference = tuning.run(audio("reference"))
    assert_same(file, reference, prepared, undisturbed)


def test_what_a_kill_at_the_very_end_left_is_cleared_by_the_next_run(audio, monkeypatch):
    undisturbed, reference = tuning.run(audio("reference"))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(
            extract.pipeline.finetuning_run,
            "remove_leftovers",
            lambda *given: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        tuning.run(audio())
    steps = []
    prepared, file = tuning.run(audio(), tuning.quiet(training=steps.append))
    assert steps == []
    assert_same(file, reference, prepared, undisturbed)


def test_an_interrupted_overwrite_goes_on_and_does_not_begin_again(audio):
    undisturbed, reference = tuning.run(audio("reference"))
    tuning.run(audio())
    with pytest.raises(KeyboardInterrupt):
        tuning.run(audio(overwrite=True), tuning.quiet(training=interrupt(5)))
    said = []
    prepared, file = tuning.run(audio(overwrite=True), tuning.quiet(said.append))
    assert any("training was at step 4" in s for s in said)
    assert_same(file, reference, prepared, undisturbed)


def test_the_lock_is_held_while_training(audio):
    prepared = prepare_finetuning(audio())
    with (
        exclusive(prepared.dump.lock, "it"),
        pytest.raises(StoreBusyError, match=f"pid {os.getpid()}"),
    ):
        run_finetuning(prepared, tuning.quiet())


def test_a_marker_covers_every_file(tmp_path):
    (tmp_path / "checkpoint-3" / "deep").mkdir(parents=True)
    (tmp_path / "checkpoint-3" / "deep" / "a").write_text("a")
    assert resume_point(tmp_path) is None
    assert not list(tmp_path.iterdir())
    for step, best in ((3, 3), (6, 3), (9, 9)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "a").write_text("a")
        mark_complete(folder, {"best": best})
    assert resume_point(tmp_path).step == 9
    (tmp_path / "checkpoint-9" / "a").write_text("b")
    assert resume_point(tmp_path).step == 6
    (tmp_path / "checkpoint-3" / "a").unlink()
    assert resume_point(tmp_path) is None


def test_a_full_disk_costs_no_finished_epoch(tmp_path, audio):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", str(mount)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"needs the right to mount a small file system: {made.stderr.strip()}")
    try:
        undisturbed, reference = tuning.run(audio("reference"))
        with pytest.raises(StoreFullError, match=r"disk is full; .* run the same command again"):
            tuning.run(audio("small/e"))
        assert shutil.disk_usage(mount).free > 100_000, "what did not fit is removed"
        subprocess.run(["mount", "-o", "remount,size=16m", str(mount)], check=True)
        said = []
        prepared, file = tuning.run(audio("small/e"), tuning.quiet(said.append))
        assert any("training was at step 2" in s for s in said)
        assert_same(file, reference, prepared, undisturbed)
    finally:
        subprocess.run(
            ["umount", "-l", str(mount)], check=True
        )  # A failed writer may still hold its file.


def write_clips(folder: Path) -> Path:
    """The small corpus as real files."""
    rows = tuning.write_corpus(folder)
    for i, clip in enumerate(tuning.items("audio")):
        soundfile.write(folder / f"u{i}.wav", clip, 16_000, subtype="FLOAT")
    return rows


def write_film(folder: Path) -> Path:
    """The small corpus as spans of one film, as IEMOCAP's dialogues are."""
    starts = [0.2 * i for i in range(16)]
    rows = tuning.write_corpus(
        folder, video=["dialogue.avi"] * 16, start_s=starts, end_s=[start + 0.6 for start in starts]
    )
    numbered_videos.write(folder / "dialogue.avi")
    return rows


def kill(tmp_path: Path, models: Path, kills: int, modality: str = "audio") -> dict:
    rows = {"audio": write_clips, "video": write_film}[modality](tmp_path / "c")
    encoder = {"audio": AUDIO, "video": VIDEO}[modality]

    def command(store: Path) -> list[str]:
        return [
            "--corpus",
            "manifest",
            "--root",
            str(rows),
            "--modality",
            modality,
            "--encoder",
            str(models / encoder),
            "--fold",
            "all",
            "--epochs",
            "2",
            "--batch-size",
            "4",
            "--learning-rate",
            "1e-3",
            "--augment",
            {"audio": "noise", "video": "flip"}[modality],
            "--store",
            str(store),
            "--device",
            "cpu",
        ]

    store = tmp_path / "lives" / "e"
    store.parent.mkdir()
    signs = (
        "training was at step",
        "every epoch was trained before",
        "the training was finished before",
        "rows were finished before",
    )
    imports = (
        "extract.encoders.build",
        "extract.media.sound",
        "soundfile",
        "extract.finetuning.trainer",
        "extract.frames",
        f"transformers.models.{encoder.partition('-')[0]}",
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.kill_loop",
            "--kills",
            str(kills),
            "--target",
            "extract.commands.extract_features:main",
            "--result",
            str(store),
            "--set",
            "extract.pipeline.encode.COMMIT_EVERY_S=0",
            *(f"--sign={sign}" for sign in signs),
            *(f"--import={name}" for name in imports),
            "--",
            *command(store),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    assert main(command(tmp_path / "reference")) == 0
    for fold in (1, 2, 3, 4):
        name = f"rows/*/seed-0/fold-{fold}"
        survivor, reference = (
            read_embeddings(next(folder.glob(f"{name}.h5")))
            for folder in (store, tmp_path / "reference")
        )
        for column in ("ids", "inputs", "seen", "vectors", "scores"):
            np.testing.assert_array_equal(getattr(survivor, column), getattr(reference, column))
        curves = [
            next(folder.glob(f"{name}.history.csv")).read_text()
            for folder in (store, tmp_path / "reference")
        ]
        assert curves[0] == curves[1]
    assert tuning.leftovers(store) == []
    assert not list(store.glob("rows/models"))
    assert len(list(store.glob("rows/*@*/seed-0/*"))) == 8
    return json.loads(run.stdout)


@pytest.mark.telling
def test_killed_at_random_moments_no_fold_is_lost_or_changed(tmp_path, models):
    assert kill(tmp_path, models, 4)["kills"] == 4


@pytest.mark.slow
def test_killed_while_decoding_a_film(tmp_path, models):
    told = kill(tmp_path, models, 25, "video")
    assert told["went_on"] > 2


@pytest.mark.slow
def test_killed_a_hundred_times_while_reading_training_saving_dumping_and_assembling(
    tmp_path, models
):
    told = kill(tmp_path, models, 100)
    print(told)
    assert told["went_on"] > 10
    assert told["lives_with"]["training was at step"] > 5
    assert (
        sum(
            told["lives_with"][sign] for sign in told["lives_with"] if "training was at" not in sign
        )
        > 0
    )
