"""Made tests/golden/v1 once.

It is never made again, because its worth is that an old program wrote it.

    python tests/golden/make_v1.py tests/golden/v1

Everything that a version 1 store may hold, in a few kilobytes: ids and labels beyond ASCII, three
modalities, rows that are missing and failed, a trained fold with scores, all four words of `seen`,
metadata of three kinds, and an import. `expected.json` is written from the values below, not from
what a reader made of the files.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.exchange import interchange
from embeddings_store.folds.plan import ROLES
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

N = 12
SESSIONS = [str(1 + i // 4) for i in range(N)]
IDS = [f"Sitzung{s}/Müller–{i:02d}_学生" for i, s in enumerate(SESSIONS)]
LABELS = [
    "wütend",
    "froh",
    "exc",
    "wütend",
    "froh",
    "wütend",
    "xxx",
    "froh",
    "wütend",
    "froh",
    "",
    "wütend",
]
CODES = [0, 1, 1, 0, 1, 0, -1, 1, 0, 1, -1, 0]
LABEL_SET = LabelSet(
    "zwei",
    ("wütend", "froh"),
    {"wütend": "wütend", "froh": "froh", "exc": "froh"},
    frozenset({"xxx"}),
)
PROVENANCE = {"created": "2026-01-02T03:04:05+00:00", "command": "make_v1.py", "packages": {}}


def main(folder: Path) -> None:
    """Write the store, the fold plan and what a reader must find in them."""
    store = folder / "store"
    manifest = klein()
    manifest.enter(store)
    plan = make_plan(manifest)
    plan.save(store / manifest.name / f"{plan.name}.parquet")
    common = {
        "corpus": manifest.name,
        "inputs_digest": manifest.inputs_digest,
        "provenance": PROVENANCE,
        "weights_digest": "0" * 64,
        "settings": {"pooling": "mean"},
    }
    trained = {"plan": plan.name, "plan_digest": plan.digest}
    files = {}
    for made, more in (audio(), {}), (video(), {}), (text(plan.fold(2).roles), trained):
        path = store_path(store, manifest.name, made.encoder, made.fold)
        write_embeddings(path, made, {**common, **more})
        files[path.relative_to(store).as_posix()] = facts(made)
    files |= imported(store)
    for lock in store.rglob("*.lock"):
        lock.unlink()
    (folder / "expected.json").write_text(
        json.dumps(
            {
                "corpora": {
                    "klein": {
                        "ids": IDS,
                        "codes": CODES,
                        "digest": manifest.digest,
                        "inputs_digest": manifest.inputs_digest,
                        "protocol": "leave-one-session-out",
                        "classes": list(LABEL_SET.classes),
                    },
                    "fremd": {
                        "ids": ["ä", "b", "c"],
                        "codes": [0, 1, 0],
                        "protocol": "split",
                        "classes": ["nein", "я"],
                    },
                },
                "plan": {
                    "file": "klein/leave-one-session-out.parquet",
                    "digest": plan.digest,
                    "names": ["1", "2", "3"],
                    "roles": [[ROLES[r] for r in fold.roles] for fold in plan],
                },
                "files": files,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n",
        encoding="utf-8",
    )


def klein() -> Manifest:
    """Twelve rows, three sessions, every kind of column."""
    return Manifest.from_columns(
        "klein",
        {
            "id": IDS,
            "label": LABELS,
            "session": SESSIONS,
            "speaker": [f"S{s}" for s in SESSIONS],
            "language": ["de"] * N,
            "text": [f"Satz {i}, „so“" if i != 5 else "" for i in range(N)],
            "audio": [f"ton/{i}.wav" for i in range(N)],
            "video": [f"bild/{i}.mp4" if i else "" for i in range(N)],
            "start_s": [0.5 * i for i in range(N)],
            "end_s": [0.5 * i + 2 if i != 3 else np.nan for i in range(N)],
            "meta_note": ["α" if i % 2 else "" for i in range(N)],
            "meta_age": [20 + i for i in range(N)],
            "meta_score": [i / 8 if i != 4 else np.nan for i in range(N)],
        },
        labels=LABEL_SET,
        protocol="leave-one-session-out",
        notes=("zwei Zeilen ohne Klasse",),
    )


def audio() -> Embeddings:
    """Frozen, one row failed and one cautioned."""
    status, reason = np.full(N, "ok", dtype="U8"), np.full(N, "", dtype="U40")
    status[7], reason[7], reason[2] = "failed", "ton/7.wav: leer", "still"
    inputs = np.array([f"{i:016x}" for i in range(N)])
    return embeddings(
        EncoderRef("mini-ton.L3", "a0a0a0a0a0a0", "audio", 3), 4, status, reason, inputs=inputs
    )


def video() -> Embeddings:
    """Frozen, the first row has no film, and it is unknown what the encoder saw of two others."""
    status, reason, seen = (
        np.full(N, "ok", dtype="U8"),
        np.full(N, "", dtype="U40"),
        np.full(N, "no", dtype="U7"),
    )
    status[0], reason[0] = "missing", "the manifest gives no video"
    seen[1:3] = "unknown"
    return embeddings(
        EncoderRef("mini-bild", "b1b1b1b1b1b1", "video"), 3, status, reason, seen=seen
    )


def text(roles: NDArray[np.uint8]) -> Embeddings:
    """Trained for fold 2 with seed 7: fitted on its training rows, chosen on its validation rows.

    Scores.
    """
    status, reason = np.full(N, "ok", dtype="U8"), np.full(N, "", dtype="U40")
    status[5], reason[5] = "missing", "the manifest gives no text"
    seen = np.array(["no", "fit", "select", "no"])[roles]
    made = embeddings(
        EncoderRef("mini-wort", "c2c2c2c2c2c2", "text", 6, 7), 5, status, reason, seen=seen
    )
    return replace(made, fold="2", scores=made.vectors[:, :2] * 2, classes=LABEL_SET.classes)


def embeddings(
    ref: EncoderRef,
    width: int,
    status: NDArray[np.str_],
    reason: NDArray[np.str_],
    *,
    seen: NDArray[np.str_] | None = None,
    inputs: NDArray[np.str_] | None = None,
) -> Embeddings:
    """Vectors in which every number says where it stands: row + column / 8."""
    vectors = (np.arange(N)[:, None] + np.arange(width) / 8).astype(np.float32)
    vectors[status != "ok"] = np.nan
    return Embeddings(
        np.array(IDS),
        vectors,
        np.full(N, "no") if seen is None else seen,
        status,
        reason,
        ref,
        inputs=inputs,
    )


def imported(store: Path) -> dict[str, object]:
    """A second corpus, as `embeddings-store import` brings it in."""
    interchange.collect = lambda: dict(PROVENANCE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = np.array([[1.5, -2.0], [0.25, 1e-30], [np.nan, np.nan]], dtype=np.float32)
        np.savez(folder / "fremd.npz", ids=np.array(["ä", "b", "c"]), gesicht=values)
        rows = "id,label,split,video\nä,nein,train,v1\nb,я,train,v2\nc,nein,test,v3\n"
        (folder / "rows.csv").write_text(rows, encoding="utf-8")
        job = interchange.ImportJob(folder / "fremd.npz", store, "split:train", folder / "rows.csv")
        [path] = interchange.import_vectors(job)
    return {
        path.relative_to(store).as_posix(): {
            "modality": "gesicht",
            "layer": -1,
            "seed": 0,
            "fold": "any",
            "classes": [],
            "seen": ["fit", "fit", "no"],
            "status": ["ok", "ok", "missing"],
            "reason": ["", "", "the source holds only nan"],
            "vectors": listed(values),
            "scores": None,
            "inputs": None,
        }
    }


def facts(made: Embeddings) -> Mapping[str, object]:
    """What a reader must find, as plain JSON; nan becomes null."""
    ref = made.encoder
    return {
        "modality": ref.modality,
        "layer": ref.layer,
        "seed": ref.seed,
        "fold": made.fold,
        "classes": list(made.classes),
        "seen": made.seen.tolist(),
        "status": made.status.tolist(),
        "reason": made.reason.tolist(),
        "vectors": listed(made.vectors),
        "scores": None if made.scores is None else listed(made.scores),
        "inputs": None if made.inputs is None else made.inputs.tolist(),
    }


def listed(values: NDArray[np.float32]) -> list[list[float | None]]:
    """Nested lists with null for nan."""
    return [[None if np.isnan(v) else float(v) for v in row] for row in values]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
