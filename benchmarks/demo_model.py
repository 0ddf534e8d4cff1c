"""The end of ``make demo``: a model to carry labels dialogues of the demo's generator, seed unseen.

An encoder of sound is fine-tuned on all rows of the demo (fold ``final``), a network over its
vectors becomes a bundle, and ``predict-emotions`` labels windows of dialogues that the generator
draws from another seed. A turn gets the label of the window whose middle is nearest its own. Words
and faces stay out: the films are split screens, and nobody tells the model who talks.

The generator knows the cues that it drew, so it knows what the best possible classifier of voices
gets right of these very turns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from extract.corpora.demo_release import DemoTurn, draw, generate, ideal_accuracy

SEED = 101  # of the dialogues; the demo's own release is of seed 0
WINDOW_S, HOP_S = 0.8, 0.1  # the shortest turn; fine enough that a window lies near every middle
HEARD = ("audio",)
CELL = "unimodal audio nn"  # named here, before anything is measured: what a bundle can hold
Run = Callable[..., None]


def label_unseen(out: Path, run: Run) -> str:
    """Export a model, label the unseen dialogues, and return what it came to.

    Args:
        out: The demo's folder, in which store and results lie.
        run: Runs a command: its module, its name, and arguments.
    """
    store, model, labels = out / "embeddings", out / "model", out / "labels"
    corpus = ["--corpus", "demo", "--root", str(out), "--modality", "audio"]
    where = ["--fold", "final", "--store", str(store)]
    run("extract.commands.extract_features", "extract-features", *corpus, *where)
    grid = ["--store", str(store), "--corpus", "demo", "--modalities", "audio"]
    cells = ["--classifiers", "nn", "--early", "none", "--late", "none"]
    export = ["--export-model", str(model), "--export-cell", CELL]
    results = ["--out", str(out / "model-results"), "--quiet"]
    run("classify.commands.run_fusion_grid", "run-fusion-grid", *grid, *cells, *results, *export)
    unseen = generate(out / f"unseen-seed-{SEED}", SEED, video=False)
    media = [str(folder) for folder in sorted(unseen.glob("Session*/dialog/wav"))]
    how = ["--window-s", f"{WINDOW_S:g}", "--hop-s", f"{HOP_S:g}", "--out", str(labels), "--quiet"]
    call = [*media, "--model", str(model), *how]
    run("classify.commands.predict_emotions", "predict-emotions", *call)
    return compared(labels)


def compared(labels: Path) -> str:
    """Return accuracy per turn and per window beside what is possible.

    Args:
        labels: What ``predict-emotions`` wrote.
    """
    turns, right_turns = [], []
    windows = {"inside": [0, 0], "across": [0, 0]}
    for dialogue in draw(SEED):
        (table,) = labels.rglob(f"{dialogue.id}.wav/timeline.csv")
        timeline = pd.read_csv(table)
        for turn in dialogue.turns:
            if turn.label:
                turns.append(turn)
                right_turns.append(label_of(turn, timeline) == turn.label)
                for kind, (right, count) in windows_of(turn, timeline).items():
                    windows[kind] = [windows[kind][0] + right, windows[kind][1] + count]
    reached, best = 100 * np.mean(right_turns), 100 * ideal_accuracy(turns, HEARD)
    lines = [
        f"{len(turns)} turns of seed {SEED}, which the model has not heard: {reached:.1f} % right "
        "by the window in their middle; the best possible classifier of voices gets "
        f"{best:.1f} % of these turns right"
    ]
    names = {"inside": "windows inside one turn", "across": "windows across a boundary"}
    for kind, (right, count) in windows.items():
        share = f"{100 * right / count:.1f} %" if count else "-"
        lines.append(f"  {names[kind]}: {share} of {count} right")
    return "\n".join(lines)


def label_of(turn: DemoTurn, timeline: pd.DataFrame) -> str:
    """Return the label of the window whose middle is nearest a turn's."""
    middles_s = (timeline["start_s"] + timeline["end_s"]) / 2
    nearest = (middles_s - (turn.start_s + turn.end_s) / 2).abs().idxmin()
    return str(timeline.loc[nearest, "label"])


def windows_of(turn: DemoTurn, timeline: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return how many windows have their middle in a turn, and how many of them are right.

    ``inside`` are those that lie in it whole, ``across`` those that hold something beside it.
    """
    middles_s = (timeline["start_s"] + timeline["end_s"]) / 2
    own = timeline[(middles_s >= turn.start_s) & (middles_s <= turn.end_s)]
    inside = (own["start_s"] >= turn.start_s) & (own["end_s"] <= turn.end_s)
    right = own["label"] == turn.label
    return {
        "inside": (int((right & inside).sum()), int(inside.sum())),
        "across": (int((right & ~inside).sum()), int((~inside).sum())),
    }
