"""Small worlds for trials: corpora, vectors, a store and results, made once and then copied."""

from __future__ import annotations

import importlib
import json
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile
from pyarrow import parquet

from benchmarks.robustness.trial import SCRIPTS
from embeddings_store import write_example_store
from embeddings_store.arff_files import arff_text

ROWS = 8
IEMOCAP_SESSIONS = (1085, 1023, 1151, 1031, 1241)  # rows of its four classes
FAST = ("--classifiers", "svm", "--early", "concatenation", "--late", "product", "--quiet")
GRID = ("--modalities", "text", "audio", *FAST)


def run(command: str, *arguments: object, status: int = 0) -> None:
    """Run a command that has to end with this exit status."""
    module, function = SCRIPTS[command].split(":")
    heard = StringIO()
    with redirect_stdout(heard), redirect_stderr(heard):
        main = getattr(importlib.import_module(module), function)
        ended = main([str(argument) for argument in arguments])
    if ended != status:
        raise RuntimeError(f"{command} {arguments}: exit {ended}\n{heard.getvalue()}")


def rows() -> pd.DataFrame:
    """Return a manifest of a few rows of every kind of column."""
    numbers = range(ROWS)
    return pd.DataFrame(
        {
            "id": [f"u{n}" for n in numbers],
            "label": ["happy", "sad"] * (ROWS // 2),
            "speaker": [f"s{n // 2}" for n in numbers],
            "session": [f"S{n // 4}" for n in numbers],
            "text": [f"words number {n}" for n in numbers],
            "audio": [f"sound/{n}.wav" for n in numbers],
            "start_s": [0.0] * ROWS,
            "end_s": [0.2] * ROWS,
            "meta_age": [20 + n for n in numbers],
        }
    )


def sounds(folder: Path, suffix: str = ".wav", count: int = ROWS) -> None:
    """Write a few short sounds."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        wave = 0.1 * np.sin(np.arange(4000) / (9 + number))
        soundfile.write(folder / f"{number}{suffix}", wave, 16000)


def manifest(world: Path) -> None:
    """A manifest in every form that is read, and its sounds."""
    world.mkdir(parents=True)
    table = rows()
    table.to_csv(world / "rows.csv", index=False)
    table.to_csv(world / "rows.tsv", index=False, sep="\t")
    table.to_csv(world / "utf16.csv", index=False, encoding="utf-16")
    table.to_parquet(world / "rows.parquet", index=False)
    words = table.drop(columns=["meta_age"]).astype(str)
    (world / "rows.arff").write_text(arff_text("rows", words, {"label": ["happy", "sad"]}))
    sounds(world / "sound")


def vectors(world: Path) -> None:
    """Vectors that were made elsewhere, in every form that ``import`` takes, with their rows."""
    world.mkdir(parents=True)
    table, draw = rows(), np.random.default_rng(0)
    values = draw.normal(size=(ROWS, 3)).astype(np.float32)
    ids = table["id"].to_numpy(dtype=str)
    table.drop(columns=["audio", "start_s", "end_s"]).to_csv(world / "rows.csv", index=False)
    np.savez(world / "vectors.npz", ids=ids, text=values, audio=values[:, :2] + 1)
    np.save(world / "vectors.npy", values)
    np.save(world / "ids.npy", ids)
    (world / "ids.txt").write_text("\n".join(ids) + "\n")
    columns = {f"v{place}": values[:, place] for place in range(3)}
    flat = pd.DataFrame({"id": ids, **columns})
    flat.to_csv(world / "vectors.csv", index=False)
    flat.to_parquet(world / "vectors.parquet", index=False)
    (world / "vectors.arff").write_text(arff_text("vectors", flat, {}))
    # As openSMILE writes them: from its program, and from its package.
    numbers = "".join(
        f"'{row}';0.0;{a};{b};{c}\n" for row, (a, b, c) in zip(ids, values, strict=True)
    )
    (world / "smile.csv").write_text(f"name;frameTime;f0;f1;f2\n{numbers}")
    places = pd.DataFrame({"file": table["audio"], "start": "0 days", "end": "0 days 00:00:00.2"})
    places.assign(**columns).to_csv(world / "functionals.csv", index=False)
    table.to_csv(world / "parts.csv", index=False)
    seen = ["no", "fit"] * (ROWS // 2)
    pd.DataFrame({"id": ids, "seen": seen}).to_csv(world / "seen.csv", index=False)


def store(world: Path) -> None:
    """A store with one corpus and two encoders."""
    world.mkdir(parents=True)
    write_example_store(world, 6).rename(world / "store")


def corpus_alone(world: Path) -> None:
    """A store with a corpus and no vectors."""
    store(world)
    for path in world.glob("store/*/*@*"):
        shutil.rmtree(path)


def one_file(world: Path) -> None:
    """One file of vectors, and a folder to export it to."""
    store(world)
    shutil.copy(next(world.glob("store/*/*/*/fold-any.h5")), world / "fold-any.h5")
    shutil.rmtree(world / "store")
    (world / "out").mkdir()


def results(world: Path) -> None:
    """A store and a finished grid over it."""
    store(world)
    run("run-fusion-grid", "--store", world / "store", "--out", world / "results", *GRID)


def pair(world: Path) -> None:
    """A store with two corpora and the vectors that one encoder made of each."""
    vectors(world)
    for name, shift in (("one", 0), ("two", 1)):
        table = rows().drop(columns=["audio", "start_s", "end_s"])
        for column in ("id", "speaker", "session"):
            table[column] = f"{name}-" + table[column]
        table["text"] = table["text"] + name
        table["label"] = ["anger", "happiness", "neutral", "sadness"] * (ROWS // 4)
        table.to_csv(world / f"{name}.csv", index=False)
        values = np.random.default_rng(shift).normal(size=(ROWS, 3)).astype(np.float32)
        np.savez(world / f"{name}.npz", ids=table["id"].to_numpy(dtype=str), text=values)
        given = ("import", world / f"{name}.npz", "--rows", world / f"{name}.csv", "--seen", "none")
        about = ("--corpus", name, "--encoder", "mine", "--store", world / "store")
        run("embeddings-store", *given, *about)


def model(world: Path) -> None:
    """A model that a grid exported."""
    store(world)
    grid = ("--store", world / "store", "--out", world / "results", *GRID)
    run("run-fusion-grid", *grid, "--export-model", world / "model")
    shutil.rmtree(world / "results")


def plain_manifest(world: Path) -> None:
    """A manifest whose rows are whole files."""
    manifest(world)
    rows().drop(columns=["start_s", "end_s"]).to_csv(world / "rows.csv", index=False)


def plans(world: Path) -> None:
    """A store with a fold plan in a file, and a file of systems."""
    results(world)
    (world / "results" / "plan.parquet").rename(world / "plan.parquet")
    (world / "systems.txt").write_text("both = svm(concat(text, audio))\none = svm(text)\n")
    shutil.rmtree(world / "results")


def exports(world: Path) -> None:
    """One corpus in the form of every project that is converted to, without its media."""
    plain_manifest(world)
    for form in ("audformat", "emobox", "huggingface", "s3prl", "speechbrain"):
        given = ("--corpus", "manifest", "--root", world / "rows.csv", "--media", "link")
        run("convert-corpus", *given, "--to", form, "--out", world / form)
    _audformat_as_text(world)


def _audformat_as_text(world: Path) -> None:
    """The database with its tables in CSV, as audformat writes them on request."""
    import audformat

    shutil.copytree(world / "audformat", world / "audformat-csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        database = audformat.Database.load(str(world / "audformat"))
        database.save(str(world / "audformat-csv"), storage_format="csv")
    for path in (world / "audformat-csv").glob("*.parquet"):
        path.unlink()


def snapshot(world: Path) -> None:
    """A dataset as the hub serves it: two tables with the sound inside, and a note on columns."""
    table = rows()
    sounds(world / "sound")
    kinds = {"audio": {"_type": "Audio"}, "emotion": {"_type": "ClassLabel", "names": ["a", "b"]}}
    note = json.dumps({"info": {"features": kinds}})
    for number in range(2):
        part = range(number, ROWS, 2)
        audio = [(world / "sound" / f"{n}.wav").read_bytes() for n in part]
        columns = {
            "audio": [{"bytes": b, "path": f"{n}.wav"} for n, b in zip(part, audio, strict=True)],
            "emotion": [n // 2 % 2 for n in part],
            "transcription": table["text"].iloc[part].tolist(),
            "speaker_id": table["speaker"].iloc[part].tolist(),
        }
        path = world / "hub" / "data" / f"train-0000{number}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = pa.table(columns).replace_schema_metadata({"huggingface": note})
        parquet.write_table(made, path)


def fold_files(world: Path) -> None:
    """A store, and the folds of its corpus in EmoBox's files."""
    exports(world)
    for form in ("audformat", "audformat-csv", "huggingface", "s3prl", "speechbrain"):
        shutil.rmtree(world / form)
    values = np.random.default_rng(0).normal(size=(ROWS, 2)).astype(np.float32)
    np.savez(world / "vectors.npz", ids=rows()["id"].to_numpy(dtype=str), text=values)
    given = ("import", world / "vectors.npz", "--rows", world / "rows.csv", "--seen", "none")
    run("embeddings-store", *given, "--store", world / "store")


def superb(world: Path) -> None:
    """A store with as many rows as IEMOCAP's four classes, and folds in the files of s3prl."""
    world.mkdir(parents=True)
    sessions = [n for n, size in enumerate(IEMOCAP_SESSIONS, start=1) for _ in range(size)]
    count = len(sessions)
    labels = ["ang", "hap", "neu", "sad", "exc"] * count
    table = pd.DataFrame({"id": [f"u{n}" for n in range(count)], "label": labels[:count]})
    table["session"] = [f"Ses0{number}" for number in sessions]
    table["speaker"] = [f"Ses0{number}_{'FM'[n % 2]}" for n, number in enumerate(sessions)]
    table.to_csv(world / "rows.csv", index=False)
    values = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    np.savez(world / "vectors.npz", ids=table["id"].to_numpy(dtype=str), text=values)
    given = ("import", world / "vectors.npz", "--rows", world / "rows.csv", "--seen", "none")
    run("embeddings-store", *given, "--corpus", "iemocap", "--store", world / "store")
    for number in range(1, len(IEMOCAP_SESSIONS) + 1):
        folder = world / "s3prl" / f"Session{number}"
        folder.mkdir(parents=True)
        tested = table["session"] == f"Ses0{number}"
        for role, mask in (("test", tested), ("train", ~tested)):
            listed = [{"path": f"{name}.wav"} for name in table["id"][mask]]
            content = json.dumps({"meta_data": listed})
            (folder / f"{role}_meta_data.json").write_text(content)


def checked(world: Path) -> None:
    """A corpus of whole files, and what a check of it remembers."""
    plain_manifest(world)
    given = ("--corpus", "manifest", "--root", world / "rows.csv", "--quiet")
    run("check-corpus", *given, "--out", world / "out")


def demo(world: Path) -> None:
    """The demo release without its films."""
    given = ("--corpus", "demo", "--root", world / "data", "--corpus-option", "video=no")
    run("check-corpus", *given, "--media", "none", "--quiet")


RELEASES = ("avamerg", "cremad", "iemocap", "meld", "reels")


def release(world: Path, name: str) -> None:
    """A tiny release of a corpus in its own layout."""
    run("make-corpus", name, "--out", world / name)
