"""How often a model is right on people whom it has not met: ten actors in, two actors out.

    python -m benchmarks.held_out_model --data ../shared

DATA holds ``data/ravdess`` (twelve actors) and ``models/whisper-tiny``. Frozen Whisper-tiny makes
vectors of the clips of ten actors; a run of the grid over five folds of two of them chooses a
system on validation rows; the bundle of it, fitted on all ten, labels the clips of the other two as
files, as ``predict-emotions`` does. These two were fixed before anything was computed: the last two
by number. No choice was made with their labels in view.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.record import record
from classify import EmotionModel
from classify.commands.run_fusion_grid import main as run_fusion_grid
from classify.labelling.aggregate import RULES
from extract.commands.extract_features import main as extract_features
from extract.corpora import read_corpus

HELD_OUT = ("Actor_11", "Actor_12")
COMMAND = "python -m benchmarks.held_out_model --data ../shared"
GRID = (
    *("--corpus", "ravdess", "--folds", "speaker-kfold:5", "--layers", "all"),
    *("--layers-as", "concat", "--classifiers", "svm", "nn", "--early", "none", "--late", "none"),
    *("--jobs", "1", "--quiet"),
)


def main() -> None:
    """Fit, label and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    given = options.parse_args()
    clips, encoder = given.data / "data" / "ravdess", given.data / "models" / "whisper-tiny"
    with tempfile.TemporaryDirectory() as folder:
        model = fit(clips.resolve(), encoder.resolve(), Path(folder))
        rows = label(model, clips)
    print(record("held_out_model", rows, COMMAND))


def fit(clips: Path, encoder: Path, folder: Path) -> EmotionModel:
    """Return a model of the clips of all actors but two."""
    root, store = folder / "ravdess", folder / "store"
    root.mkdir()
    for actor in sorted(clips.iterdir()):
        if actor.name not in HELD_OUT:
            (root / actor.name).symlink_to(actor)
    corpus = ["--corpus", "ravdess", "--root", str(root), "--follow-links", "--modality", "audio"]
    how = ["--encoder", str(encoder), "--frozen", "--layer", "all", "--store", str(store)]
    if extract_features([*corpus, *how]):
        raise SystemExit("extract-features failed")
    places = ["--store", str(store), "--out", str(folder / "results")]
    if run_fusion_grid([*GRID, *places, "--export-model", str(folder / "model")]):
        raise SystemExit("run-fusion-grid failed")
    return EmotionModel.load(folder / "model", {"audio": str(encoder)})


def label(model: EmotionModel, clips: Path) -> list[dict[str, object]]:
    """Return a row for each held-out actor, and one for both."""
    corpus = read_corpus("ravdess", clips)
    labels = dict(zip(corpus.column("audio").tolist(), corpus.column("label"), strict=True))
    found = model.predict_many([clips / actor for actor in HELD_OUT])
    lines = []
    for timeline in found.timelines:
        rules = {rule: timeline.label(rule) for rule in RULES}
        lines.append({"file": timeline.file, "label": labels[timeline.file], **rules})
    table = pd.DataFrame(lines)
    about = model.bundle.about
    rows = []
    for who in (*HELD_OUT, "both"):
        own = table if who == "both" else table[table["file"].str.startswith(f"{who}/")]
        right = own["mean"] == own["label"]
        recalls = right.groupby(own["label"]).mean()
        rows.append(
            {
                "held_out": who,
                "clips": len(own),
                "WA": round(100 * float(right.mean()), 1),
                "UAR": round(100 * float(recalls.mean()), 1),
                "cell": about["cell"],
                "cross_validated": about["WA"],
            }
        )
    return rows


if __name__ == "__main__":
    main()
