"""How long the whole leakage audit takes without media, at IEMOCAP's size and on many utterances.

    python -m benchmarks.audit --rows 5531 150000

The corpus is generated: speakers, dialogues, sentences of which some are repeated, and three files
of vectors with digests of their inputs. The command is timed as a user runs it, start of Python
included; the checks one by one. Processor seconds stand beside those of the clock, which other work
on the machine makes longer.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.record import record
from classify.leakage.case import AuditCase, named_views, read_files
from classify.leakage.checks import CHECKS
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

MODALITIES = ("audio", "text", "video")
WIDTH, FOLDS = 768, 5
TURNS, SPEAKERS_PER_ROWS, WORDS = 20, 100, 8_000
REPEATED = 0.05


def main() -> None:
    """Write the store, time the command and each check, and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, nargs="+", default=[5_531, 150_000])
    options.add_argument("--width", type=int, default=WIDTH)
    given = options.parse_args()
    rows: list[dict[str, object]] = []
    for count in given.rows:
        rows += measured(count, given.width)
    sizes = " ".join(map(str, given.rows))
    print(record("audit", rows, f"python -m benchmarks.audit --rows {sizes} --width {given.width}"))
    for row in rows:
        print("{rows:>8,} {check:<34} {seconds:8.2f} s {cpu_s:8.2f} s of a processor".format(**row))


def measured(count: int, width: int) -> list[dict[str, object]]:
    """Write a store of so many utterances, time the command and each check.

    Args:
        count: Utterances.
        width: Of their vectors.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        make_store(store, count, width)
        found = [("the whole command", *command(store))]
        started = clocks()
        manifest = Manifest.load(store / "many")
        plan = make_plan(manifest)
        case = AuditCase(
            manifest,
            plan,
            read_files(store, manifest, named_views(e.ref for e in catalogue(store, "many")), plan),
        )
        found.append(("reading manifest, plan and files", *since(started)))
        for name, check in CHECKS.items():
            if check.run:
                started = clocks()
                check.run(case)
                found.append((name, *since(started)))
    return [
        {
            "rows": count,
            "width": width,
            "files": len(MODALITIES),
            "folds": len(plan),
            "check": name,
            "seconds": round(seconds, 3),
            "cpu_s": round(cpu_s, 3),
        }
        for name, seconds, cpu_s in found
    ]


def clocks() -> tuple[float, float]:
    """Return the seconds of the clock and of the processors.

    The latter are this process' and its finished children's.
    """
    processors = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        processors += used.ru_utime + used.ru_stime
    return time.perf_counter(), processors


def since(before: tuple[float, float]) -> tuple[float, float]:
    """Return how many of both have passed."""
    now = clocks()
    return now[0] - before[0], now[1] - before[1]


def make_store(store: Path, rows: int, width: int) -> None:
    """Write a store of generated dialogues of twenty turns.

    There is a speaker for every hundred rows, and one sentence in twenty stood before.
    """
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = np.array(
        ["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(WORDS)]
    )
    common = 1 / np.arange(1, WORDS + 1)
    lengths = generator.integers(3, 18, rows)
    words = generator.choice(vocabulary, int(lengths.sum()), p=common / common.sum())
    texts = np.array(
        [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])], dtype=object
    )
    again = generator.random(rows) < REPEATED
    texts[again] = texts[generator.integers(0, rows, int(again.sum()))]
    people = max(10, rows // SPEAKERS_PER_ROWS)
    dialogue = np.arange(rows) // TURNS
    ids = [f"d{d:06d}_u{i % TURNS:02d}" for i, d in enumerate(dialogue)]
    manifest = Manifest.from_columns(
        "many",
        {
            "id": ids,
            "label": [f"class-{c}" for c in generator.integers(0, 4, rows)],
            "text": texts,
            "speaker": [f"p{d % people:05d}" for d in dialogue],
            "group": [f"d{d:06d}" for d in dialogue],
            "audio": [f"wav/{name}.wav" for name in ids],
            "video": [f"mp4/d{d:06d}.mp4" for d in dialogue],
        },
        protocol=f"speaker-kfold:{FOLDS}",
    )
    manifest.enter(store)
    for number, modality in enumerate(MODALITIES):
        ref = EncoderRef(f"many-{modality}", f"{number}" * 12, modality)
        inputs = np.array([f"{number}{i:015x}" for i in range(rows)])
        write_embeddings(
            store_path(store, "many", ref, "any"),
            Embeddings(
                manifest.ids,
                generator.standard_normal((rows, width), dtype=np.float32),
                np.full(rows, "no"),
                np.full(rows, "ok"),
                np.full(rows, ""),
                ref,
                inputs=inputs,
            ),
            {"corpus": "many", "inputs_digest": manifest.inputs_digest},
        )


def command(store: Path) -> tuple[float, float]:
    """Run the command as a user does and return its seconds; a leak would be an answer too."""
    started = clocks()
    done = subprocess.run(
        [sys.executable, "-m", "classify.commands.audit_leakage", "--store", str(store)],
        text=True,
        capture_output=True,
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    print(done.stdout)
    return since(started)


if __name__ == "__main__":
    main()
