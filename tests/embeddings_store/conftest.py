"""A small corpus and vectors for it, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from embeddings_store.corpus.label_sets import LABEL_SETS
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings
from extract.corpora._iemocap_counts import FOUR_WAY, PER_SESSION, SESSIONS, TOTAL

ROWS = 12
WIDTH = 4


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    """Twelve rows, three sessions of four rows, two speakers each, two classes.

    Columns and fields may be replaced.
    """

    def make(name: str = "mini", **changes: object) -> Manifest:
        columns: dict[str, object] = {
            "id": [f"u{i:02d}" for i in range(ROWS)],
            "label": ["x", "y"] * 6,
            "session": [str(1 + i // 4) for i in range(ROWS)],
            "speaker": [f"s{i // 2}" for i in range(ROWS)],
            "split": ["train"] * 6 + ["dev"] * 2 + ["test"] * 4,
            "text": [f"words {i}" for i in range(ROWS)],
            "audio": [f"wav/{i}.wav" for i in range(ROWS)],
        }
        fields = {
            k: changes.pop(k) for k in ("labels", "protocol", "root", "notes") if k in changes
        }
        columns |= changes
        return Manifest.from_columns(
            name, {k: v for k, v in columns.items() if v is not None}, **fields
        )

    return make


@pytest.fixture
def manifest(make_manifest: Callable[..., Manifest]) -> Manifest:
    return make_manifest()


def make_embeddings(  # noqa: PLR0913 - a test names the two or three that it is about
    manifest: Manifest,
    modality: str = "text",
    *,
    name: str = "",
    fingerprint: str = "0123456789ab",
    layer: int = -1,
    seed: int = 0,
    fold: str = "any",
    seen: object = "no",
    missing: tuple[int, ...] = (),
    failed: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    inputs: bool = False,
) -> Embeddings:
    """Vectors in which every number says where it stands: row + column / 8."""
    n = len(manifest)
    vectors = (np.arange(n)[:, None] + np.arange(WIDTH) / 8).astype(np.float32)
    status, reason = np.full(n, "ok", dtype="U8"), np.full(n, "", dtype="U40")
    for word, rows in (("missing", missing), ("failed", failed)):
        status[list(rows)], reason[list(rows)] = word, f"because it is {word}"
    vectors[status != "ok"] = np.nan
    scores = np.ascontiguousarray(vectors[:, : len(classes)]) if classes else None
    ref = EncoderRef(name or f"enc-{modality}", fingerprint, modality, layer, seed)
    return Embeddings(
        manifest.ids,
        vectors,
        np.broadcast_to(np.asarray(seen, dtype="U7"), n).copy(),
        status,
        reason,
        ref,
        fold,
        scores,
        classes,
        np.array([f"{i:016x}" for i in range(n)]) if inputs else None,
    )


@dataclass(frozen=True, slots=True)
class Bench:
    """A store with one corpus, and a way to put vectors into it."""

    store: Path
    manifest: Manifest

    def put(
        self,
        modality: str = "text",
        plan: FoldPlan | None = None,
        about: dict[str, object] | None = None,
        **how: object,
    ) -> EncoderRef:
        made = make_embeddings(self.manifest, modality, **how)  # type: ignore[arg-type]
        attributes = {
            "corpus": self.manifest.name,
            "inputs_digest": self.manifest.inputs_digest,
            "settings": {},
            "provenance": {},
        }
        if plan:
            attributes |= {"plan": plan.name, "plan_digest": plan.digest}
        write_embeddings(self.path(made.encoder, made.fold), made, attributes | (about or {}))
        return made.encoder

    def path(self, ref: EncoderRef, fold: str = "any") -> Path:
        return store_path(self.store, self.manifest.name, ref, fold)


@pytest.fixture
def embeddings(manifest: Manifest) -> Callable[..., Embeddings]:
    return lambda **how: make_embeddings(manifest, **how)


@pytest.fixture
def bench(tmp_path: Path, manifest: Manifest) -> Bench:
    manifest = replace(manifest, protocol="leave-one-session-out")
    manifest.enter(tmp_path / "store")
    return Bench(tmp_path / "store", manifest)


@pytest.fixture
def bench_of(tmp_path: Path, make_manifest: Callable[..., Manifest]) -> Callable[..., Bench]:
    """A bench over a corpus with other columns."""

    def make(**changes: object) -> Bench:
        manifest = make_manifest(**changes)
        manifest.enter(tmp_path / "store")
        return Bench(tmp_path / "store", manifest)

    return make


@pytest.fixture(scope="session")
def iemocap() -> Manifest:
    """All 10,039 turns of IEMOCAP as far as their counts are published.

    Sessions, labels, speakers and kinds; made-up names.
    """
    rng, rows = np.random.default_rng(0), []
    excited = (
        100,
        150,
        113,
        150,
        150,
    )  # Improvised ones: 663 in all, so that 2,943 - 663 are the 2,280 of the literature.
    others = [
        label for label, count in TOTAL.items() if label not in PER_SESSION for _ in range(count)
    ]
    for number, session in enumerate(SESSIONS):
        labels = [
            label
            for label, counts in PER_SESSION.items()
            if label != "exc"
            for _ in range(counts[number])
        ]
        improvised = FOUR_WAY["meta_kind", "improvised"][number] - excited[number]
        kinds = rng.permutation(
            ["improvised"] * improvised + ["scripted"] * (len(labels) - improvised)
        ).tolist()
        labels += ["exc"] * PER_SESSION["exc"][number]
        kinds += ["improvised"] * excited[number] + ["scripted"] * (
            PER_SESSION["exc"][number] - excited[number]
        )
        female = FOUR_WAY["meta_gender", "female"][number]
        talking = rng.permutation(["F"] * female + ["M"] * (len(labels) - female)).tolist()
        rest = others[number::5]
        labels, kinds, talking = (
            labels + rest,
            kinds + ["improvised"] * len(rest),
            talking + ["F", "M"] * len(rest),
        )
        for place, (label, kind, letter) in enumerate(zip(labels, kinds, talking, strict=False)):
            dialogue = (
                f"{session}F_{kind[:5] if kind == 'improvised' else 'script'}{place % 14:02d}"
            )
            rows.append(
                (
                    f"{dialogue}_{letter}{place:04d}",
                    label,
                    session,
                    f"{session}_{letter}",
                    dialogue,
                    kind,
                )
            )
    names = ("id", "label", "session", "speaker", "group", "meta_kind")
    table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return Manifest.from_columns(
        "iemocap",
        {**table, "text": [f"words {i % 900}" for i in range(len(rows))]},
        labels=LABEL_SETS["iemocap-4"].labels,
        protocol="leave-one-session-out",
    )
