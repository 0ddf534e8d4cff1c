"""Windows of videos in the grid: figures per video, learning on videos, and labels to submit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classify.commands.run_fusion_grid import main as run_fusion_grid
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.exchange.pool import pool_windows
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.catalogue import catalogue
from embeddings_store.vectors.hdf5 import read_embeddings, store_path, write_embeddings

CLASSES = ("anger", "joy", "trust")
VIDEOS, UNLABELLED, CORPUS = 30, 4, "reels-1s-0.5s"
REF = EncoderRef("mfcc", "0123456789ab", "audio")


def write_store(folder: Path) -> Path:
    """Write windows of 30 labelled and 4 unlabelled videos, the last of which has no vector."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 5))
    rows, vectors = [], []
    for video in range(VIDEOS + UNLABELLED):
        code, split = video % 3, "train" if video < VIDEOS else "test"
        own = rng.normal(size=5)
        for window in range(2 + video % 4):
            row = {"id": f"v{video}#{window}", "group": f"v{video}", "meta_clip": f"v{video}"}
            label = CLASSES[code] if split == "train" else ""
            rows.append({**row, "label": label, "meta_id": str(video), "audio": f"{video}.wav"})
            vectors.append(0.8 * centres[code] + 0.6 * own + rng.normal(size=5))
    table = pd.DataFrame(rows)
    manifest = Manifest.from_columns(CORPUS, {c: table[c] for c in table}, protocol="group-kfold:5")
    manifest.enter(folder)
    ok = (table["group"] != f"v{VIDEOS + UNLABELLED - 1}").to_numpy()
    found = np.where(ok[:, None], np.array(vectors), np.nan).astype(np.float32)
    made = Embeddings(
        manifest.ids,
        found,
        np.full(len(ok), "no"),
        np.where(ok, "ok", "failed"),
        np.where(ok, "", "torn"),
        REF,
    )
    about = {"corpus": CORPUS, "inputs_digest": manifest.inputs_digest_of("audio")}
    write_embeddings(store_path(folder, CORPUS, REF, "any"), made, about)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("windows") / "store")


def run(store: Path, out: Path, *more: str, corpus: str = CORPUS) -> int:
    given = ["--store", str(store), "--corpus", corpus, "--out", str(out)]
    return run_fusion_grid([*given, "--classifiers", "svm", "nn", "--jobs", "1", *more])


def plain(answers: pd.DataFrame, rule: str) -> float:
    """Return the accuracy per video as a plain loop finds it; no label where classes tie."""
    right = []
    for _, rows in answers.groupby("clip"):
        scores = rows[[f"score:{name}" for name in CLASSES]].to_numpy()
        own = [scores[i, CLASSES.index(name)] for i, name in enumerate(rows["y_pred"])]
        merit = dict.fromkeys(CLASSES, 0.0)
        for name, sure in zip(rows["y_pred"], own, strict=True):
            if rule == "maximum":
                merit[name] = max(merit[name], sure)
            else:
                merit[name] += 1.0 if rule == "majority" else sure
        mean = dict(zip(CLASSES, scores.mean(axis=0), strict=True))
        if rule == "mean":
            merit = mean
        best = [name for name in CLASSES if merit[name] > max(merit.values()) - 1e-9]
        best = [name for name in best if mean[name] > max(mean[b] for b in best) - 1e-9]
        right.append(best == [rows["y_true"].iloc[0]])
    return float(np.mean(right))


def test_figures_per_window_and_per_video_by_each_rule(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, tmp_path) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "rows are windows: WA, UAR and every table of them are per window" in printed
    assert "per video, majority: WA" in printed and "intervals by group" in printed
    found = pd.read_csv(tmp_path / "videos.csv", keep_default_na=False)
    answers = pd.read_parquet(tmp_path / "predictions.parquet")
    answers = answers[answers["role"] == "test"].astype({"y_pred": str, "y_true": str})
    answers["clip"] = answers["id"].str.split("#").str[0]
    rows = found.set_index(["cell", "per", "rule"])
    for cell in ("unimodal audio nn", "unimodal audio probe"):
        own = answers[answers["cell"] == cell]
        assert rows.loc[cell, "window", ""]["WA"] == (own["y_true"] == own["y_pred"]).mean()
        for rule in ("majority", "weighted", "mean", "maximum"):
            line = rows.loc[cell, "video", rule]
            assert line["WA"] == pytest.approx(plain(own, rule))
            assert (line["n_scored"], line["n_planned"], line["clusters"]) == (30, 30, 30)
    svm = found[(found["cell"] == "unimodal audio svm") & (found["per"] == "video")]
    assert svm["rule"].tolist() == ["majority", "mean", "maximum"]


def test_learning_on_videos_pools_their_windows(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, tmp_path, "--learn-on", "videos", "--submission", f"{tmp_path}/s.csv") == 4
    printed = " ".join(capsys.readouterr().out.split())
    assert "learnt on as mean and deviation of their windows" in printed
    assert not (tmp_path / "videos.csv").exists()
    assert len(pd.read_csv(tmp_path / "s.csv")) == UNLABELLED
    (entry,) = catalogue(store, f"{CORPUS}-videos")
    pooled, windows = read_embeddings(entry.path), read_embeddings(catalogue(store, CORPUS)[0].path)
    for name, vector in zip(pooled.ids.tolist()[:-1], pooled.vectors, strict=False):
        own = windows.vectors[np.char.startswith(windows.ids, f"{name}#")]
        assert vector == pytest.approx(np.concatenate([own.mean(axis=0), own.std(axis=0)]), 1e-5)
    assert pooled.status.tolist()[-1] == "missing" and (pooled.seen == "no").all()
    manifest = Manifest.load(store / f"{CORPUS}-videos")
    assert manifest.table["meta_windows"].tolist()[:4] == [2, 3, 4, 5]
    made = entry.path.stat().st_mtime_ns
    assert pool_windows(store, CORPUS) == manifest.name and entry.path.stat().st_mtime_ns == made
    assert run(store, tmp_path, "--learn-on", "videos", corpus=manifest.name) == 2
    assert "holds no windows" in capsys.readouterr().err


def test_a_submission_has_a_line_per_video_without_a_label(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "submission.csv"
    more = ("--submission", str(path), "--submission-rule", "majority", "--quiet")
    assert run(store, tmp_path / "out", *more) == 4
    said = capsys.readouterr()
    assert "4 rows by" in said.out and "1 rows have no vector" in said.err and "v33" in said.err
    lines = pd.read_csv(path, keep_default_na=False)
    assert list(lines) == ["id", "label", "confidence"]
    assert lines["id"].tolist() == [30, 31, 32, 33] and lines["label"].tolist()[-1] == ""
    assert set(lines["label"][:3]) <= set(CLASSES)
    (tmp_path / "out" / "videos.csv").unlink()

    labelled = Manifest.load(store / CORPUS)
    other = tmp_path / "other"
    Manifest(CORPUS, labelled.table[labelled.given("label")], labelled.labels).enter(other)
    assert run(other, tmp_path / "out", "--submission", str(path)) == 2
    assert "every row of corpus" in capsys.readouterr().err


@pytest.mark.telling
def test_reels_come_to_a_submission_in_two_commands(tmp_path: Path) -> None:
    from extract.commands.extract_features import main as extract_features
    from extract.commands.make_corpus import main as make_corpus

    reels, store = str(tmp_path / "reels"), str(tmp_path / "store")
    assert make_corpus(["reels", "--out", reels]) == 0
    given = ["--corpus", "reels", "--root", reels, "--modality", "audio", "--encoder", "mfcc"]
    cut = ["--frozen", "--window-s", "0.5", "--hop-s", "0.25", "--store", store, "--quiet"]
    assert extract_features([*given, *cut]) == 0
    path = tmp_path / "submission.csv"
    assert (
        run(Path(store), tmp_path / "out", "--submission", str(path), corpus="reels-0.5s-0.25s")
        == 0
    )
    lines = pd.read_csv(path)
    assert lines["id"].tolist() == [1, 2, 3, 4] and lines["label"].notna().all()
    rules = pd.read_csv(tmp_path / "out" / "videos.csv")["rule"].dropna().unique()
    assert rules.tolist() == ["majority", "weighted", "mean", "maximum"]
