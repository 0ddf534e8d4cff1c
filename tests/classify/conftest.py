"""Small stores with a known answer.

Classes lie apart in every modality, groups and sessions are balanced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.rules import make_plan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.fold_data import RoleData
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

CLASSES = ("anger", "happiness", "sadness")
FAST = {"xgboost": {"trees": 5.0, "depth": 2.0}, "nn": {"epochs": 3.0, "units": 8.0}}


@pytest.fixture
def fast() -> dict[str, dict[str, float]]:
    """Settings under which XGBoost and the network take milliseconds."""
    return FAST


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that builds a store with one corpus and returns its folder."""

    def make(  # noqa: PLR0913 - a test names the two or three that it is about
        *,
        corpus: str = "toy",
        widths: Mapping[str, int] | None = None,
        rows: int = 90,
        apart: float = 1.5,
        missing: Mapping[str, int] | None = None,
        heads: tuple[str, ...] = (),
        seen: str = "no",
        split: bool = False,
        layers: int = 0,
        one_group: bool = False,
        where: str = "embeddings",
    ) -> Path:
        store, rng = tmp_path / where, np.random.default_rng(7)
        y = np.arange(rows) % len(CLASSES)
        sessions = (np.arange(rows) // len(CLASSES)) % 3
        columns: dict[str, object] = {
            "id": [f"u{i:03d}" for i in range(rows)],
            "label": np.array(CLASSES)[y],
            "text": ["words"] * rows,
            "session": [f"S{s}" for s in sessions],
            "speaker": [f"S{s}" for s in sessions],
            "group": [
                f"S{s}" if one_group else f"S{s}-d{(i // 9) % 4}" for i, s in enumerate(sessions)
            ],
        }
        if split:
            columns["split"] = np.array(["train", "test", "train"])[sessions]
        protocol = "split" if split else "leave-one-session-out"
        manifest = Manifest.from_columns(corpus, columns, protocol=protocol)
        manifest.save(store / corpus)
        for position, (modality, width) in enumerate((widths or {"audio": 6, "text": 6}).items()):
            centres = rng.normal(size=(len(CLASSES), width)) * apart
            for layer in range(layers or 1):
                # a layer in the middle is the best; the others drown in noise
                noise = 1.0 + (3.0 * abs(layer - layers // 2) if layers else 0.0)
                vectors = (centres[y] + rng.normal(size=(rows, width)) * noise).astype(np.float32)
                name = f"enc-{modality}" + (f".L{layer}" if layers and layer < layers - 1 else "")
                ref = EncoderRef(
                    name, f"{position}{layer}".ljust(12, "0"), modality, layer if layers else -1
                )
                status = np.full(rows, "ok", dtype="<U7")
                for gone in range((missing or {}).get(modality, 0)):
                    status[(7 * gone + 3 * position) % rows] = "missing"
                lost = status != "ok"
                vectors[lost] = np.nan
                scores = None
                if modality in heads:
                    scores = (
                        np.eye(len(CLASSES))[y] * 2 + rng.normal(size=(rows, len(CLASSES)))
                    ).astype(np.float32)
                    scores[lost] = np.nan
                marks = (
                    np.where(np.array(columns["split"]) == "train", seen, "no")
                    if split
                    else np.full(rows, seen)
                )
                embeddings = Embeddings(
                    manifest.ids,
                    vectors,
                    marks,
                    status,
                    np.where(lost, "no media", ""),
                    ref,
                    scores=scores,
                    classes=CLASSES if scores is not None else (),
                )
                settings = {"family": f"enc-{modality}", **({"layer": layer} if layers else {})}
                write_embeddings(
                    store_path(store, corpus, ref, "any"),
                    embeddings,
                    {
                        "corpus": corpus,
                        "inputs_digest": manifest.inputs_digest,
                        "settings": settings,
                        "provenance": {},
                    },
                )
        return store

    return make


@pytest.fixture
def make_rows() -> Callable[..., RoleData]:
    """Return a function that makes the rows of one role by hand."""

    def make(
        vectors: Mapping[str, np.ndarray],
        present: Mapping[str, np.ndarray] | None = None,
        scores: Mapping[str, np.ndarray] | None = None,
    ) -> RoleData:
        n = len(next(iter(vectors.values())))
        return RoleData(
            np.array([f"u{i}" for i in range(n)]),
            np.arange(n) % 2,
            np.array([f"g{i % 4}" for i in range(n)]),
            {m: v.astype(np.float32) for m, v in vectors.items()},
            scores or {},
            {m: np.ones(n, dtype=bool) for m in vectors} | dict(present or {}),
            np.zeros(n, dtype=bool),
        )

    return make


@pytest.fixture
def make_trained(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that builds a store of encoders that were fine-tuned per fold.

    Own, and from inner folds.

    Every encoder has a space of its own (a random rotation), and is over-confident on the rows that
    it was fitted on.
    """

    def make(
        *,
        modalities: tuple[str, ...] = ("audio", "text"),
        rule: str = "valid-session",
        inner: int = 0,
        seeds: tuple[int, ...] = (0,),
        rows: int = 90,
        where: str = "embeddings",
        width: int = 6,
    ) -> Path:
        store, rng = tmp_path / where, np.random.default_rng(11)
        y = np.arange(rows) % len(CLASSES)
        sessions = (np.arange(rows) // len(CLASSES)) % 3
        dialogues = [f"S{s}-d{(i // 9) % 4}" for i, s in enumerate(sessions)]
        manifest = Manifest.from_columns(
            "toy",
            {
                "id": [f"u{i:03d}" for i in range(rows)],
                "label": np.array(CLASSES)[y],
                "text": ["words"] * rows,
                "session": [f"S{s}" for s in sessions],
                "speaker": dialogues,
                "group": dialogues,
            },
            protocol="leave-one-session-out",
        )
        manifest.save(store / "toy")
        plan = make_plan(manifest, "", "next" if rule == "valid-session" else "none")
        chosen_on = {"valid-session": "valid", "test": "test", "fixed-epochs": ""}[rule]
        parts = {name: sorted(set(dialogues)).index(name) % max(inner, 1) + 1 for name in dialogues}
        part = np.array([parts[name] for name in dialogues])
        for position, modality in enumerate(modalities):
            content = np.eye(len(CLASSES))[y] * 1.5 + rng.normal(size=(rows, len(CLASSES)))
            for seed in seeds:
                for fold in plan:
                    train = fold.mask("train")
                    for k in range(inner + 1):
                        fit = train & (part != k)
                        logits = (
                            content
                            + 0.3 * rng.normal(size=content.shape)
                            + 4.0 * np.eye(len(CLASSES))[y] * fit[:, None]
                        )
                        vectors = logits @ rng.normal(
                            size=(len(CLASSES), width)
                        ) + 0.1 * rng.normal(size=(rows, width))
                        seen = np.where(
                            fit,
                            "fit",
                            np.where(fold.mask(chosen_on) if chosen_on else False, "select", "no"),
                        )
                        settings = {"family": f"enc-{modality}", "inner": inner if k else 0}
                        ref = EncoderRef(
                            f"enc-{modality}",
                            f"{position}{inner if k else 0}".ljust(12, "e"),
                            modality,
                            2,
                            seed,
                        )
                        name = f"{fold.number}.inner-{k}" if k else str(fold.number)
                        made = Embeddings(
                            manifest.ids,
                            vectors.astype(np.float32),
                            seen,
                            np.full(rows, "ok"),
                            np.full(rows, "", dtype="U1"),
                            ref,
                            name,
                            logits.astype(np.float32),
                            CLASSES,
                        )
                        write_embeddings(
                            store_path(store, "toy", ref, name),
                            made,
                            {
                                "corpus": "toy",
                                "inputs_digest": manifest.inputs_digest,
                                "settings": settings,
                                "provenance": {},
                                "plan": plan.name,
                                "plan_digest": plan.digest,
                                "plan_valid": plan.valid,
                                "selection_rule": rule,
                            },
                        )
        return store

    return make
