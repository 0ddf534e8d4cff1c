"""Does a film of two hours need more memory than one of ten seconds, and is a kill of no account?

    python -m benchmarks.long_film --data ../shared

DATA holds ``data/ravdess`` and ``models/whisper-tiny``. The film has the clips of RAVDESS one after
the other, again and again, and drawn faces whose expression changes every two seconds; nothing is
measured about whether labels are right. For sound the model is one over frozen Whisper-tiny, fitted
on RAVDESS; for the picture one over the demo's small video encoder, fitted on four minutes of drawn
faces. Each labels windows of two seconds by ``predict-emotions``, in a process of its own:

* ``models_mib`` is the peak of resident memory over a film of ten seconds, so what libraries and
  models take; ``peak_mib`` that over the long film. The difference is bound to 2 GiB.
* ``real_time_factor`` is seconds of film per second of the run, loading included.
* Then the same, killed (SIGKILL) as often as ``kills`` says, each time when a further part of the
  windows was finished; ``same_timeline`` says whether every byte of ``timeline.csv`` is the same.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av
import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.held_out_model import fit
from benchmarks.record import record
from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.vectors.shards import ShardFolder
from extract.commands.extract_features import main as extract_features
from extract.corpora.demo import own_encoders
from extract.corpora.demo_release import faces

COMMAND = "python -m benchmarks.long_film --data ../shared"
WINDOW_S, SHORT_S, LABELLED_S = 2.0, 10.0, 240.0
RATE, PICTURES_PER_S, SIDE = 16_000, 5, 128
BOUND_MIB = 2048
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Labelling:
    """How a film is labelled.

    Attributes:
        model: The bundle.
        encoder: What follows ``--encoder``; empty where it is found by its name.
        window_s: Length of a window.
    """

    model: Path
    encoder: str = ""
    window_s: float = WINDOW_S

    def command(self, film: Path, out: Path) -> list[str]:
        """Return the command line."""
        call = [sys.executable, "-m", "classify.commands.predict_emotions", str(film), "--quiet"]
        where = ["--model", str(self.model), "--out", str(out)]
        encoder = ["--encoder", self.encoder] if self.encoder else []
        return [*call, *where, *encoder, "--window-s", f"{self.window_s:g}"]


def main() -> None:
    """Make films and models, measure, and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--duration-s", type=float, default=7200.0)
    options.add_argument("--kills", type=int, default=5)
    given = options.parse_args()
    data = given.data.resolve()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = sorted((data / "data" / "ravdess").rglob("*.flac"))
        make_film(folder / "long.mp4", given.duration_s, clips)
        make_film(folder / "short.mp4", SHORT_S, clips)
        whisper = data / "models" / "whisper-tiny"
        fit(data / "data" / "ravdess", whisper, folder)
        labellings = {
            "audio": Labelling(folder / "model", f"audio={whisper}"),
            "video": fit_video(folder / "video", clips),
        }
        for modality, labelling in labellings.items():
            found = measure(labelling, folder, given.duration_s, given.kills)
            rows.append({"modality": modality, "window_s": WINDOW_S, **found})
            print(rows[-1], flush=True)
    print(record("long_film", rows, COMMAND))
    if any(row["peak_mib"] - row["models_mib"] > BOUND_MIB for row in rows):
        raise SystemExit(f"more than {BOUND_MIB} MiB above the models")


def measure(labelling: Labelling, folder: Path, duration_s: float, kills: int) -> dict[str, object]:
    """Label ``short.mp4`` and ``long.mp4`` of a folder, and the long one with kills.

    Args:
        labelling: How.
        folder: Where the films are.
        duration_s: Of the long one.
        kills: How often a run is killed.
    """
    out = {name: folder / f"out-{name}" for name in ("short", "long", "killed")}
    for place in out.values():
        shutil.rmtree(place, ignore_errors=True)
    short_mib, _ = peak_of(labelling.command(folder / "short.mp4", out["short"]))
    long_mib, wall_s = peak_of(labelling.command(folder / "long.mp4", out["long"]))
    times = kill(labelling.command(folder / "long.mp4", out["killed"]), out["killed"], kills)
    tables = [out[name] / "long.mp4" / "timeline.csv" for name in ("long", "killed")]
    return {
        "duration_s": round(duration_s),
        "windows": len(pd.read_csv(tables[0])),
        "peak_mib": round(long_mib),
        "models_mib": round(short_mib),
        "real_time_factor": round(duration_s / wall_s, 1),
        "kills": times,
        "same_timeline": tables[0].read_bytes() == tables[1].read_bytes(),
    }


def peak_of(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its peak of resident memory (MiB) and how long it took (s)."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_maxrss / 1024, time.monotonic() - started


def kill(command: Sequence[str], out: Path, kills: int) -> int:
    """Kill a command each time when a further part of its windows is finished; then let it end.

    Returns:
        How often it was killed while it worked.
    """
    times, share = 0, 0.0
    for _ in range(kills):
        share = max(finished_share(out), share) + (1 - share) / (kills + 1)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and finished_share(out) < share:
            time.sleep(POLL_S)
        if process.poll() is None:
            process.kill()
            times += 1
        process.wait()
    peak_of(command)
    return times


def finished_share(out: Path) -> float:
    """Return which share of the windows has vectors, from 0 to 1."""
    for rows in out.glob("store/*/.running/*/rows"):
        windows = pd.read_parquet(rows.parents[2] / "manifest.parquet", columns=["id"])
        return len(ShardFolder(rows).finished()) / len(windows)
    return 0.0


def fit_video(folder: Path, clips: Sequence[Path]) -> Labelling:
    """Return a model of drawn expressions over the demo's small video encoder."""
    folder.mkdir()
    make_film(folder / "labelled.mp4", LABELLED_S, clips)
    classes = list(faces.EXPRESSIONS)
    rows = []
    for number in range(int(LABELLED_S / WINDOW_S)):
        start_s = number * WINDOW_S
        row = {"id": f"w{number:03d}", "label": classes[number % len(classes)]}
        span = {"start_s": start_s, "end_s": start_s + WINDOW_S}
        rows.append({**row, "video": "labelled.mp4", **span, "group": f"g{number // 24}"})
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    encoder, store = own_encoders(folder)["video"], folder / "store"
    corpus = ["--corpus", "manifest", "--root", str(folder / "rows.csv"), "--corpus-name", "drawn"]
    how = ["--modality", "video", "--encoder", str(encoder), "--frozen", "--store", str(store)]
    if extract_features([*corpus, *how, "--region", "full"]):
        raise SystemExit("extract-features failed")
    grid = ["--store", str(store), "--out", str(folder / "results"), "--folds", "group-kfold:5"]
    which = ["--classifiers", "nn", "--early", "none", "--late", "none", "--jobs", "1", "--quiet"]
    if run_fusion_grid([*grid, *which, "--export-model", str(folder / "model")]):
        raise SystemExit("run-fusion-grid failed")
    return Labelling(folder / "model", f"video={encoder}")


def make_film(path: Path, duration_s: float, clips: Sequence[Path]) -> None:
    """Write a film of drawn faces and joined clips, a piece at a time."""
    with av.open(str(path), "w") as film:
        picture = film.add_stream("mpeg4", rate=PICTURES_PER_S)
        picture.width, picture.height, picture.pix_fmt = SIDE, SIDE, "yuv420p"
        sound = film.add_stream("aac", rate=RATE, layout="mono")
        heads, samples, written = drawn_heads(), seconds_of(clips), 0
        for second in range(int(duration_s)):
            shown = heads[int(second // WINDOW_S) % len(heads)]
            for number in range(PICTURES_PER_S):
                frame = av.VideoFrame.from_ndarray(shown[number % len(shown)], format="rgb24")
                frame.pts = second * PICTURES_PER_S + number
                frame.time_base = Fraction(1, PICTURES_PER_S)
                film.mux(picture.encode(frame))
            heard = av.AudioFrame.from_ndarray(next(samples)[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = RATE, written, Fraction(1, RATE)
            film.mux(sound.encode(heard))
            written += RATE
        film.mux(picture.encode(None))
        film.mux(sound.encode(None))


def seconds_of(clips: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """Yield the sound of the clips, one after the other, a second (RATE,) at a time, forever."""
    rest = np.zeros(0, dtype=np.float32)
    for clip in cycle(clips):
        samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
        rest = np.concatenate([rest, samples.mean(axis=1)[:: rate // RATE]])
        while len(rest) >= RATE:
            yield np.ascontiguousarray(rest[:RATE])
            rest = rest[RATE:]


def drawn_heads() -> list[list[NDArray[np.uint8]]]:
    """Return the pictures (SIDE, SIDE, 3) of one movement for each expression."""
    look = faces.look_of("Ses01_F", True)
    heads = []
    for expression in faces.EXPRESSIONS.values():
        drawn = [faces.draw(look, expression, phase / faces.PHASES) for phase in range(5)]
        heads.append([np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in drawn])
    return heads


if __name__ == "__main__":
    main()
