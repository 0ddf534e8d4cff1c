"""extract-features end to end on real files with a small real model.

Results, failures, resume, and being killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import extract.pipeline.encode
import extract.pipeline.frozen
import extract.pipeline.job
from embeddings_store.atomic import exclusive
from embeddings_store.vectors.hdf5 import read_embeddings, verify
from extract.commands.extract_features import main
from extract.encoders import load_encoder
from extract.media.sound import load_audio
from extract.pipeline.frozen import FrozenJob, prepare_extraction
from extract.pipeline.job import CorpusSource, EncoderChoice, StoreTarget

RATE = 16_000


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real HuBERT of 2 layers and 32 dimensions with random weights, as Transformers saves it."""
    import torch
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16, 16, 16),
        conv_stride=(5, 4, 4),
        conv_kernel=(10, 8, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-hubert"
    HubertModel(config).save_pretrained(folder)
    return folder


def sound(seed: int, seconds: float = 0.4, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A tone in noise, different for each seed."""
    generator = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (120 + 17 * seed) * t) + 0.01 * generator.standard_normal(
        len(t)
    )
    return tone if channels == 1 else np.stack([tone] * channels, axis=1)


def write_corpus(folder: Path, clips: int) -> Path:
    """A manifest of ``clips`` sounds of different length beside it; returns the CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(clips):
        soundfile.write(folder / f"u{i:03d}.wav", sound(i, 0.3 + 0.01 * (i % 7)), RATE)
    table = pd.DataFrame(
        {
            "id": [f"u{i:03d}" for i in range(clips)],
            "audio": [f"u{i:03d}.wav" for i in range(clips)],
            "label": [("sad", "happy")[i % 2] for i in range(clips)],
            "speaker": [f"s{i % 4}" for i in range(clips)],
        }
    )
    table.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def command(rows: Path, model: Path, store: Path, *more: str) -> list[str]:
    return [
        "--corpus",
        "manifest",
        "--root",
        str(rows),
        "--modality",
        "audio",
        "--encoder",
        str(model),
        "--frozen",
        "--store",
        str(store),
        *more,
    ]


def only_file(store: Path):
    files = sorted(store.glob("*/*@*/seed-0/fold-any.h5"))
    assert len(files) == 1, files
    return read_embeddings(files[0])


def test_each_vector_is_what_the_encoder_makes_of_that_clip_alone(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 9)
    assert main(command(rows, model, tmp_path / "e", "--batch-size", "4")) == 0
    path = Path(capsys.readouterr().out.strip())
    assert verify(path) == []
    file, encoder = read_embeddings(path), load_encoder(str(model), device="cpu")
    assert file.ids.tolist() == [f"u{i:03d}" for i in range(9)]
    for name, vector in zip(file.ids, file.vectors, strict=True):
        alone = encoder.encode([load_audio(tmp_path / "c" / f"{name}.wav").samples])[0, 0]
        assert np.linalg.norm(vector - alone) <= 1e-5 * np.linalg.norm(alone)
    made = file.attributes["provenance"]
    assert made["packages"]["torch"]
    assert file.attributes["weights_digest"] == encoder.weights_digest
    assert set(file.seen.tolist()) == {"no"}
    assert str(tmp_path) not in json.dumps(file.attributes["settings"])


def test_again_there_is_nothing_to_do(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 3)
    assert main(command(rows, model, tmp_path / "e")) == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "e").rglob("*.h5")}
    capsys.readouterr()
    assert main(command(rows, model, tmp_path / "e")) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "e").rglob("*.h5")} == before
    assert not list((tmp_path / "e").rglob("part-*")), "parts are removed once assembled"


def test_all_layers_come_from_one_pass_and_equal_single_ones(tmp_path, model):
    rows = write_corpus(tmp_path / "c", 4)
    assert main(command(rows, model, tmp_path / "all", "--layer", "all")) == 0
    assert main(command(rows, model, tmp_path / "one", "--layer", "1")) == 0
    assert len(list((tmp_path / "all").rglob("*.h5"))) == 3
    single = only_file(tmp_path / "one")
    twin = read_embeddings(
        next((tmp_path / "all").glob(f"rows/{single.encoder.folder}/seed-0/*.h5"))
    )
    assert single.encoder.name == "tiny-hubert.L1"
    np.testing.assert_allclose(single.vectors, twin.vectors, rtol=0, atol=1e-6)


BAD_CLIPS = {
    "torn": (
        lambda p: p.write_bytes(whole_wav(p)[: len(whole_wav(p)) // 2]),
        "torn|cut|short|promise",
    ),
    "random": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(4000)), "not sound|torn"),
    "empty": (lambda p: p.write_bytes(b""), "empty"),
    "no-samples": (
        lambda p: soundfile.write(p, np.zeros(0), RATE),
        "no sound|no samples|nothing|holds",
    ),
    "very-short": (lambda p: soundfile.write(p, sound(1, 0.002), RATE), "at least"),
    "absent": (lambda p: None, "does not exist"),
    "a-folder": (lambda p: p.mkdir(), "not a regular file"),
    "lfs": (
        lambda p: p.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        ),
        "LFS",
    ),
    "not-finite": (
        lambda p: soundfile.write(p, np.full(8000, np.nan), RATE, subtype="FLOAT"),
        "finite",
    ),
    "outside": (lambda p: p.symlink_to("/etc/hostname"), "outside"),
}


def whole_wav(path: Path) -> bytes:
    soundfile.write(path, sound(1, 1.0), RATE)
    return path.read_bytes()


def test_bad_clips_are_listed_counted_recorded_and_cost_no_good_one(tmp_path, model, capsys):
    write_corpus(tmp_path / "c", 4)
    table = pd.read_csv(tmp_path / "c" / "rows.csv")
    bad = [
        {"id": name, "audio": f"{name}.wav", "label": "sad", "speaker": "s0"} for name in BAD_CLIPS
    ]
    for name, (make, _) in BAD_CLIPS.items():
        make(tmp_path / "c" / f"{name}.wav")
    table = pd.concat([pd.DataFrame(bad), table], ignore_index=True)
    table.to_csv(tmp_path / "c" / "rows.csv", index=False)
    assert main(command(tmp_path / "c" / "rows.csv", model, tmp_path / "e")) == 4
    shown = capsys.readouterr().err
    file = only_file(tmp_path / "e")
    reasons = dict(zip(file.ids.tolist(), file.reason.tolist(), strict=True))
    assert file.status.tolist() == ["failed"] * len(BAD_CLIPS) + ["ok"] * 4
    for name, (_, expected) in BAD_CLIPS.items():
        assert pd.Series([reasons[name]]).str.contains(expected, regex=True).all(), (
            name,
            reasons[name],
        )
        assert name in shown
        assert str(tmp_path) not in reasons[name], "the store must not tell where the corpus lies"
    assert np.isnan(file.vectors[: len(BAD_CLIPS)]).all()
    write_corpus(tmp_path / "clean", 4)
    assert main(command(tmp_path / "clean" / "rows.csv", model, tmp_path / "e2")) == 0
    np.testing.assert_array_equal(
        only_file(tmp_path / "e2").vectors, file.vectors[len(BAD_CLIPS) :]
    )


def test_mended_clips_are_made_up_for_without_touching_the_others(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 4)
    (tmp_path / "c" / "u002.wav").write_bytes(b"nonsense")
    assert main(command(rows, model, tmp_path / "e")) == 4
    first = only_file(tmp_path / "e")
    soundfile.write(tmp_path / "c" / "u002.wav", sound(2), RATE)
    assert main(command(rows, model, tmp_path / "e")) == 4
    assert "--retry-failed" in capsys.readouterr().err
    assert main(command(rows, model, tmp_path / "e", "--retry-failed")) == 0
    second = only_file(tmp_path / "e")
    assert second.ok.all()
    keep = [0, 1, 3]
    np.testing.assert_array_equal(first.vectors[keep], second.vectors[keep])


def test_silence_has_a_vector_and_a_caution(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 2)
    soundfile.write(tmp_path / "c" / "u001.wav", np.zeros(RATE), RATE)
    assert main(command(rows, model, tmp_path / "e")) == 0
    assert "silent" in capsys.readouterr().err
    file = only_file(tmp_path / "e")
    assert file.ok.all()
    assert file.reason[0] == ""
    assert "silent" in file.reason[1]


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 2), (48_000, 1), (8_000, 2)])
def test_stereo_and_other_rates_say_the_same(tmp_path, model, rate, channels):
    for name, r, c in (("plain", RATE, 1), ("other", rate, channels)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", sound(3, 0.5, r, c), r)
        pd.DataFrame({"id": ["a"], "audio": ["a.wav"]}).to_csv(
            tmp_path / name / "rows.csv", index=False
        )
        assert main(command(tmp_path / name / "rows.csv", model, tmp_path / f"e-{name}")) == 0
    plain, other = (only_file(tmp_path / f"e-{name}").vectors[0] for name in ("plain", "other"))
    cosine = plain @ other / np.linalg.norm(plain) / np.linalg.norm(other)
    assert cosine > (0.999 if rate == RATE else 0.98)


def test_rows_without_the_modality_are_missing_not_failed(tmp_path, model):
    write_corpus(tmp_path / "c", 3)
    table = pd.read_csv(tmp_path / "c" / "rows.csv")
    table.loc[1, "audio"] = ""
    table.to_csv(tmp_path / "c" / "rows.csv", index=False)
    assert main(command(tmp_path / "c" / "rows.csv", model, tmp_path / "e")) == 0
    file = only_file(tmp_path / "e")
    assert file.status.tolist() == ["ok", "missing", "ok"]
    assert np.isnan(file.vectors[1]).all()


def test_a_changed_setting_makes_other_vectors_and_says_which_setting(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 2)
    assert main(command(rows, model, tmp_path / "e")) == 0
    assert main(command(rows, model, tmp_path / "e", "--max-duration-s", "0.1")) == 0
    assert "max_duration_s: 10.0 -> 0.1" in capsys.readouterr().err
    assert len(list((tmp_path / "e").rglob("*.h5"))) == 2


def test_a_precision_stands_in_the_store_beside_float32(tmp_path, model, capsys):
    rows, store = write_corpus(tmp_path / "c", 2), tmp_path / "e"
    assert main(command(rows, model, store)) == 0
    exact = only_file(store)
    assert main(command(rows, model, store, "--precision", "float32")) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main(command(rows, model, store, "--precision", "bf16")) == 0
    assert "dtype: float32 -> bf16" in capsys.readouterr().err
    files = [read_embeddings(path) for path in store.rglob("*.h5")]
    assert len(files) == 2
    other = next(file for file in files if file.encoder != exact.encoder)
    assert 0 < np.abs(other.vectors - exact.vectors).max() < 0.05 * np.abs(exact.vectors).max()


def test_the_same_weights_that_compute_otherwise_are_not_taken_for_what_is_there(
    tmp_path, model, capsys
):
    rows, store = write_corpus(tmp_path / "c", 2), tmp_path / "e"
    folder = shutil.copytree(model, tmp_path / "mine")
    assert main(command(rows, folder, store)) == 0
    before = only_file(store).vectors
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "9"}))
    assert main(command(rows, folder, store)) == 0
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    capsys.readouterr()
    assert main(command(rows, folder, store)) == 3
    error = capsys.readouterr().err
    assert "another config.json (hidden_act: gelu -> relu); run again with --overwrite" in error
    assert main(command(rows, folder, store, "--overwrite")) == 0
    assert not np.allclose(only_file(store).vectors, before)


def test_a_pooling_stands_in_the_store_beside_the_default(tmp_path, model, capsys):
    rows, store = write_corpus(tmp_path / "c", 2), tmp_path / "e"
    assert main(command(rows, model, store)) == 0
    capsys.readouterr()
    assert main(command(rows, model, store, "--pooling", "mean+percentiles")) == 0
    shown = capsys.readouterr()
    assert "128-d, mean+percentiles pooling" in shown.err
    assert "percentiles: unset -> 10, 50, 90; pooling: mean -> mean+percentiles" in shown.err
    pooled = read_embeddings(Path(shown.out.strip()))
    [default] = set(store.rglob("*.h5")) - {Path(shown.out.strip())}
    assert pooled.vectors.shape == (2, 4 * 32)
    np.testing.assert_allclose(pooled.vectors[:, :32], read_embeddings(default).vectors, rtol=1e-5)


def test_another_corpus_of_the_same_name_is_refused(tmp_path, model, capsys):
    assert main(command(write_corpus(tmp_path / "c", 2), model, tmp_path / "e")) == 0
    assert main(command(write_corpus(tmp_path / "d", 3), model, tmp_path / "e")) == 3
    shown = capsys.readouterr().err
    assert "2 rows there, 3 now" in shown
    assert "--corpus-name" in shown


def test_two_processes_cannot_make_the_same_vectors(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 2)
    prepared = prepare_extraction(
        FrozenJob(
            CorpusSource("manifest", rows),
            "audio",
            EncoderChoice(str(model)),
            StoreTarget(tmp_path / "e"),
        )
    )
    with exclusive(prepared.dump.lock, "it"):
        assert main(command(rows, model, tmp_path / "e")) == 3
    assert f"pid {os.getpid()}" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_encoded(tmp_path, model, capsys, monkeypatch):
    rows = write_corpus(tmp_path / "c", 40)
    real, calls = extract.pipeline.encode._encode_batch, []

    def interrupted(encoder, items):
        calls.append(len(items))
        if len(calls) == 10:
            raise KeyboardInterrupt
        return real(encoder, items)

    monkeypatch.setattr(extract.pipeline.encode, "_encode_batch", interrupted)
    assert main(command(rows, model, tmp_path / "e", "--batch-size", "1")) == 130
    assert "goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(
        extract.pipeline.encode,
        "_encode_batch",
        lambda e, items: calls.append(len(items)) or real(e, items),
    )
    assert main(command(rows, model, tmp_path / "e", "--batch-size", "1")) == 0
    assert "9 of 40 rows were finished before" in capsys.readouterr().err
    assert len(calls) == 10 + 31
    assert only_file(tmp_path / "e").ok.all()


def test_a_full_disk_costs_nothing_that_was_finished(tmp_path, model, capsys, monkeypatch):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(mount)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"needs the right to mount a small file system: {made.stderr.strip()}")
    monkeypatch.setattr(extract.pipeline.encode, "COMMIT_EVERY_S", 0.0)
    try:
        rows = write_corpus(tmp_path / "c", 120)
        job = command(rows, model, mount / "e", "--batch-size", "1")
        assert main(job) == 3
        assert "disk is full" in capsys.readouterr().err
        subprocess.run(["mount", "-o", "remount,size=4m", str(mount)], check=True)
        assert main(job) == 0
        assert "rows were finished before" in capsys.readouterr().err
        assert only_file(mount / "e").ok.all()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize(
    ("more", "code", "expected"),
    [
        (["--modality", "audio", "--frozen", "--encoder", "wav2vec2-bose"], 2, "wav2vec2-base"),
        (["--modality", "audio", "--encoder", "MODEL"], 2, "--frozen"),
        (["--modality", "audio", "--frozen", "--epochs", "3"], 2, "--epochs"),
        (["--modality", "audio", "--frozen", "--shuffle-labels", "0"], 2, "--shuffle-labels"),
        (["--frozen"], 2, "--modality"),
        (["--modality", "text", "--frozen", "--encoder", "MODEL"], 2, "audio"),
        (["--modality", "audio", "--frozen", "--encoder", "MODEL", "--layer", "9"], 2, "0 to 2"),
        (
            ["--modality", "audio", "--frozen", "--encoder", "MODEL", "--pooling", "mean+sdt"],
            2,
            "pooling 'sdt' means nothing for hubert; it takes mean, std, max, percentiles, thirds",
        ),
        (
            ["--modality", "audio", "--frozen", "--encoder", "MODEL", "--seen", "spilt:train"],
            2,
            "split:NAME",
        ),
        (
            ["--modality", "audio", "--frozen", "--encoder", "MODEL", "--corpus", "ravdes"],
            2,
            "ravdess",
        ),
        (
            ["--modality", "audio", "--frozen", "--encoder", "MODEL", "--device", "cuda:9"],
            2,
            "cuda:9",
        ),
    ],
)
def test_mistakes_on_the_command_line_get_one_helpful_line(
    tmp_path, model, capsys, more, code, expected
):
    rows = write_corpus(tmp_path / "c", 2)
    base = ["--corpus", "manifest", "--root", str(rows), "--store", str(tmp_path / "e")]
    assert main([*base, *(str(model) if m == "MODEL" else m for m in more)]) == code
    shown = capsys.readouterr().err.strip().splitlines()
    assert expected in shown[-1]
    assert not (tmp_path / "e").exists()


def test_dry_run_writes_nothing_and_says_what_it_costs(tmp_path, model, capsys):
    rows = write_corpus(tmp_path / "c", 3)
    assert main(command(rows, model, tmp_path / "e", "--dry-run")) == 0
    shown = capsys.readouterr().out
    assert "would be made" in shown
    assert "3 to make" in shown
    assert "s on cpu" in shown
    assert not (tmp_path / "e").exists()


def kill(tmp_path: Path, model: Path, kills: int) -> dict[str, float]:
    rows = write_corpus(tmp_path / "c", 200)
    assert main(command(rows, model, tmp_path / "reference")) == 0
    store = tmp_path / "lives" / "e"
    store.parent.mkdir()
    imports = [
        f"--import={name}"
        for name in ("extract.encoders.build", "extract.media.sound", "transformers.models.hubert")
    ]
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
            "--sign",
            "goes on",
            *imports,
            "--",
            *command(rows, model, store, "--batch-size", "1"),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    reference, survivor = only_file(tmp_path / "reference"), only_file(store)
    np.testing.assert_array_equal(survivor.ids, reference.ids)
    np.testing.assert_array_equal(survivor.inputs, reference.inputs)
    np.testing.assert_allclose(survivor.vectors, reference.vectors, rtol=1e-5, atol=1e-6)
    assert survivor.ok.all()
    assert not list(store.rglob("*.tmp")) and not list(store.rglob("part-*"))
    return json.loads(run.stdout)


@pytest.mark.telling
def test_killed_at_random_moments_nothing_is_lost_or_doubled(tmp_path, model):
    assert kill(tmp_path, model, 8)["kills"] == 8


@pytest.mark.slow
def test_killed_a_hundred_times(tmp_path, model):
    told = kill(tmp_path, model, 100)
    assert told["went_on"] > 10, "the kills must fall into the work, not only into the start"


def test_all_modalities_read_the_corpus_once(tmp_path, model, capsys, monkeypatch):
    """Its release may be large; each modality once read it again."""
    rows = write_corpus(tmp_path / "c", 4)
    table = pd.read_csv(rows)
    table["text"] = [f"sentence {i}" for i in range(len(table))]
    table.to_csv(rows, index=False)
    read, real = [], extract.pipeline.job.read_corpus
    monkeypatch.setattr(
        extract.pipeline.job,
        "read_corpus",
        lambda *given, **options: read.append(given) or real(*given, **options),
    )
    made = []
    monkeypatch.setattr(
        "extract.commands.extract_features.prepare_extraction",
        lambda job, manifest: made.append((job.modality, manifest)) or prepare_audio(job, manifest),
    )
    asked = command(rows, model, tmp_path / "e")
    asked[asked.index("audio")] = "all"

    def prepare_audio(job, manifest):
        # One real encoder serves both; what counts is who reads the corpus.
        return prepare_extraction(replace(job, modality="audio"), manifest)

    assert main(asked) == 0
    assert [modality for modality, _ in made] == ["text", "audio"]
    assert len({id(manifest) for _, manifest in made}) == 1
    assert len(read) == 1


def test_threads_are_measured_once_for_long_jobs_and_said(tmp_path, model, capsys, monkeypatch):
    monkeypatch.setattr(extract.pipeline.frozen, "MEASURED_FROM", 3)
    rows, before = write_corpus(tmp_path / "c", 3), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert main(command(rows, model, tmp_path / "e")) == 0
        assert "computing with " in capsys.readouterr().err
        assert main(command(rows, model, tmp_path / "f", "--threads", "1")) == 0
        assert "computing with " not in capsys.readouterr().err
        assert torch.get_num_threads() == 2
        for path in (tmp_path / "c").rglob("*.wav"):
            soundfile.write(path, sound(0, seconds=0.001), RATE)
        assert main(command(rows, model, tmp_path / "g")) in (3, 4)
        assert "give a longer span" in capsys.readouterr().err
    finally:
        torch.set_num_threads(before)
