"""A small finished run with everything that a report can show, and strings that would hurt it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands.make_report import main
from classify.experiment import run_grid
from classify.figures import style
from classify.grid.config import GridConfig
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"' onmouseover='document.title=1' x=\"",
    "{{ 7 * 7 }} ${document.title='owned'} <!-- ",
    "\u202eright to left\u202c \u2028 end",
    "javascript:document.title='owned'",
)
CLASSES = ("anger", "happiness", "<b>&\"'")
ROWS = 90
SYLLABLES = [
    a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "lnrst"
]  # enough that no two texts are alike


@dataclass(frozen=True, slots=True)
class Finished:
    """Where things are."""

    store: Path
    results: Path
    media: Path


def finished_run(folder: Path, *, trained: bool = True, corpus: str = "toy") -> Finished:
    """Run the grid over three sessions; text and audio vectors of trained or frozen encoders."""
    store, rng = folder / "embeddings", np.random.default_rng(3)
    y, sessions = np.arange(ROWS) % 3, (np.arange(ROWS) // 3) % 3
    columns = {
        "id": [f"u{i:03d}{'<i>' * (i == 4)}" for i in range(ROWS)],
        "label": np.array(CLASSES)[y],
        "text": [
            HOSTILE[i] if i < len(HOSTILE) else " ".join(rng.permutation(SYLLABLES)[:6])
            for i in range(ROWS)
        ],
        "audio": [f'wav/{i} "x" <y> #1?.wav' for i in range(ROWS)],
        "session": [f"S{s}" for s in sessions],
        "speaker": [f"<u>S{s}</u>{i % 2}" for i, s in enumerate(sessions)],
        "group": [f"S{s}-{i % 5}" for i, s in enumerate(sessions)],
    }
    manifest = Manifest.from_columns(corpus, columns, protocol="leave-one-session-out")
    manifest.save(store / corpus)
    plan = make_plan(manifest)
    codes = {name: code for code, name in enumerate(manifest.labels.classes)}
    for place, modality in enumerate(("audio", "text")):
        ref = EncoderRef(
            f"enc-{modality}", f"{place}".ljust(12, "0"), modality, 2 if trained else -1
        )
        for fold in plan if trained else [None]:
            centres = rng.normal(size=(3, 5)) * 1.1
            vectors = (centres[y] + rng.normal(size=(ROWS, 5))).astype(np.float32)
            scores = (
                np.eye(3)[[codes[CLASSES[c]] for c in y]] * 1.5 + rng.normal(size=(ROWS, 3))
            ).astype(np.float32)
            seen = np.full(ROWS, "no", dtype="<U6")
            if fold is not None:
                seen[fold.mask("train")], seen[fold.mask("valid")] = "fit", "select"
            name = str(fold.number) if fold is not None else "any"
            embeddings = Embeddings(
                manifest.ids,
                vectors,
                seen,
                np.full(ROWS, "ok"),
                np.full(ROWS, ""),
                ref,
                name,
                scores,
                manifest.labels.classes,
            )
            path = store_path(store, corpus, ref, name)
            write_embeddings(
                path,
                embeddings,
                {
                    "corpus": corpus,
                    "inputs_digest": manifest.inputs_digest,
                    "settings": {"train_epochs": 3, "train_learning_rate": 1e-3},
                    "plan": plan.name if fold else "",
                    "plan_valid": plan.valid if fold else "",
                    "plan_digest": plan.digest if fold else "",
                    "best_epoch": 2,
                    "provenance": {
                        "command": "cli.py --corpus toy",
                        "encoding": {"rows": ROWS, "wall_s": 4.5},
                    },
                },
            )
            if fold is not None:
                history(12).to_csv(path.with_suffix(".history.csv"), index=False)
    results = folder / "results"
    run_grid(
        GridConfig(
            store, results, classifiers=("svm",), early=("concatenation",), late=("sum",), jobs=1
        )
    )
    return Finished(store, results, folder / "media")


def history(steps: int) -> pd.DataFrame:
    """A training of three epochs."""
    lines = []
    for step in range(1, steps + 1):
        lines.append(
            {
                "step": step,
                "epoch": 3 * step / steps,
                "loss": 1.5 - step / steps,
                "learning_rate": 1e-3,
            }
        )
        if step % (steps // 3) == 0:
            lines.append(
                {
                    "step": step,
                    "epoch": 3 * step / steps,
                    "valid_loss": 1.2 - step / (2 * steps),
                    "valid_accuracy": 0.4 + step / (3 * steps),
                }
            )
    return pd.DataFrame(lines)


@pytest.fixture(scope="session", autouse=True)
def small_pictures() -> Iterator[None]:
    """Draw with fewer points, which takes a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", 50)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with trained encoders; tests that change it copy it first."""
    return finished_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same corpus and folds with frozen encoders."""
    return finished_run(tmp_path_factory.mktemp("frozen"), trained=False)


@pytest.fixture(scope="session")
def made(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the results with figures and report."""
    results = tmp_path_factory.mktemp("made") / "results"
    shutil.copytree(finished.results, results)
    assert (
        main(
            [
                str(results),
                "--store",
                str(finished.store),
                "--media-root",
                str(finished.media),
                "--quiet",
            ]
        )
        == 0
    )
    return results
