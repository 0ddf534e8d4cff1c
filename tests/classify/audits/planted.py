"""A corpus with nothing to complain of, and one leak of every kind to plant into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from classify.leakage.case import AuditCase, read_files
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.folds.rules import make_plan
from embeddings_store.folds.setup import Request
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import store_path, write_embeddings

CLASSES = ("anger", "happiness", "sadness")
WORDS = np.array(
    [
        a + b
        for a in ("bra", "can", "dry", "fen", "gol", "kit")
        for b in ("dle", "gon", "mer", "tic", "vet")
    ]
)
ROWS, SESSIONS = 240, 4


def clean_columns() -> dict[str, np.ndarray]:
    """Four sessions of six dialogues with two speakers each.

    Every sentence and every file is its own.
    """
    rng, row = np.random.default_rng(3), np.arange(ROWS)
    session = row % SESSIONS
    return {
        "id": np.array([f"u{i:03d}" for i in row], dtype=object),
        "label": np.array(CLASSES, dtype=object)[rng.permutation(row % 3)],
        "text": np.array(
            [" ".join(rng.choice(WORDS, 9, replace=False)) for _ in row], dtype=object
        ),
        "session": np.array([f"S{s}" for s in session], dtype=object),
        "speaker": np.array(
            [f"S{s}-{'FM'[i // 4 % 2]}" for i, s in enumerate(session)], dtype=object
        ),
        "group": np.array([f"S{s}-d{i // 8 % 6}" for i, s in enumerate(session)], dtype=object),
        "audio": np.array([f"wav/u{i:03d}.wav" for i in row], dtype=object),
        "meta_cause": np.array([f"cause {i}" for i in row], dtype=object),
    }


@dataclass
class Plan:
    """What to write: columns of the manifest, marks of the vectors, attributes.

    A test changes what it plants.
    """

    columns: dict[str, np.ndarray] = field(default_factory=clean_columns)
    name: str = "toy"
    folds: str = ""
    protocol: str = "leave-one-session-out"
    seen: np.ndarray = field(default_factory=lambda: np.full(ROWS, "no", dtype="<U7"))
    inputs: np.ndarray = field(default_factory=lambda: np.array([f"{i:016x}" for i in range(ROWS)]))
    attributes: dict[str, object] = field(default_factory=dict)
    trained: bool = False
    options: dict[str, object] = field(default_factory=dict)

    def manifest(self) -> Manifest:
        """Return the corpus."""
        return Manifest.from_columns(self.name, dict(self.columns), protocol=self.protocol)

    def write(self, store: Path) -> Manifest:
        """Write the corpus and its audio vectors, frozen or one file per fold."""
        manifest = self.manifest()
        manifest.enter(store)
        y = np.array([CLASSES.index(str(label).strip().lower()) for label in self.columns["label"]])
        vectors = (np.eye(4)[y] * 2 + np.random.default_rng(5).normal(size=(len(y), 4))).astype(
            np.float32
        )
        ref, ok = EncoderRef("enc", "0" * 12, "audio"), np.full(len(y), "ok")
        plan = make_plan(
            Manifest.from_columns(
                self.name,
                {**self.columns, "group": np.full(len(y), "", dtype=object)},
                protocol=self.protocol,
            )
        )
        for fold in [str(f.number) for f in plan] if self.trained else ["any"]:
            about = {
                "corpus": self.name,
                "inputs_digest": manifest.inputs_digest,
                "settings": {},
                "provenance": {},
                **(
                    {"plan": plan.name, "plan_digest": plan.digest, "plan_valid": plan.valid}
                    if self.trained
                    else {}
                ),
                **self.attributes,
            }
            write_embeddings(
                store_path(store, self.name, ref, fold),
                Embeddings(
                    manifest.ids,
                    vectors,
                    self.seen,
                    ok,
                    np.full(len(y), ""),
                    ref,
                    fold,
                    inputs=self.inputs,
                ),
                about,
            )
        return manifest

    def case(self, store: Path) -> AuditCase:
        """Write everything and return what the checks are given."""
        from classify.audit import plan_of

        manifest = self.write(store)
        plan, _ = plan_of(manifest, Request(folds=self.folds))
        return AuditCase(
            manifest,
            plan,
            read_files(store, manifest, {"audio": EncoderRef("enc", "0" * 12, "audio")}, plan),
            **self.options,
        )  # type: ignore[arg-type]


def first(columns: dict[str, np.ndarray], session: str, count: int) -> np.ndarray:
    """Positions of the first rows of a session."""
    return np.flatnonzero(columns["session"] == session)[:count]


def _speakers(plan: Plan) -> None:
    rows = np.flatnonzero(plan.columns["group"] == "S2-d1")
    plan.columns["speaker"][rows] = "S0-F"


def _groups(plan: Plan) -> None:
    for session in ("S0", "S1", "S2", "S3"):
        plan.columns["group"][first(plan.columns, session, 3)] = "torn"


def _videos(plan: Plan) -> None:
    rows = [*first(plan.columns, "S0", 4), *first(plan.columns, "S3", 4)]
    plan.columns["audio"][rows] = "wav/long.wav"
    plan.columns["start_s"], plan.columns["end_s"] = np.full(ROWS, np.nan), np.full(ROWS, np.nan)
    plan.columns["start_s"][rows], plan.columns["end_s"][rows] = np.arange(8.0), np.arange(8.0) + 1


def _transcripts(plan: Plan) -> None:
    one, other = first(plan.columns, "S1", 20), first(plan.columns, "S2", 20)
    plan.columns["text"][other] = [f"{text.upper()}!" for text in plan.columns["text"][one]]
    plan.columns["label"][other] = plan.columns["label"][one]


def _near_transcripts(plan: Plan) -> None:
    _transcripts(plan)
    other = first(plan.columns, "S2", 20)
    plan.columns["text"][other] = [
        text.replace("A", "E", 1) for text in plan.columns["text"][other]
    ]


def _transcripts_of_one_class(plan: Plan) -> None:
    """Copies that are all of one class: among themselves always answering it is as good."""
    labels = plan.columns["label"]
    sad = [row for row in first(plan.columns, "S1", 1000) if labels[row] == "sadness"][:12]
    other = first(plan.columns, "S2", 1000)
    other = [row for row in other if labels[row] == "sadness"][:12]
    plan.columns["text"][other] = plan.columns["text"][sad]


def _transcripts_without_spaces(plan: Plan) -> None:
    letters = np.array(list("我你他再也不想见到听说去来好看天地人山水火"))
    random = np.random.default_rng(3)
    plan.columns["text"][:] = ["".join(random.choice(letters, 22)) for _ in range(ROWS)]
    one, other = first(plan.columns, "S1", 20), first(plan.columns, "S2", 20)
    plan.columns["text"][other] = plan.columns["text"][one]
    plan.columns["label"][other] = plan.columns["label"][one]


def _transcripts_in_another_order(plan: Plan) -> None:
    _transcripts(plan)
    other = first(plan.columns, "S2", 20)
    plan.columns["text"][other] = [
        " ".join(reversed(text.split())) for text in plan.columns["text"][other]
    ]


def _transcripts_with_fillers(plan: Plan) -> None:
    _transcripts(plan)
    other = first(plan.columns, "S2", 20)
    plan.columns["text"][other] = [
        "Well, " + text.replace(" ", ", uh, ") for text in plan.columns["text"][other]
    ]


def _media(plan: Plan) -> None:
    plan.inputs[first(plan.columns, "S3", 2)] = plan.inputs[first(plan.columns, "S0", 2)]


def _seen(plan: Plan) -> None:
    plan.seen[:] = np.where(plan.columns["session"] == "S0", "no", "fit")


def _contamination(plan: Plan) -> None:
    plan.name = "ravdess"
    plan.attributes = {
        "provenance": {
            "encoder_source": "ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition"
        }
    }


def _choices(plan: Plan) -> None:
    plan.seen[first(plan.columns, "S2", 60)] = "select"


def _select_on(plan: Plan) -> None:
    plan.options["select_on"] = "test"


def _permuted(plan: Plan) -> None:
    plan.trained, plan.attributes = True, {"labels_shuffled": 4}


def _metadata(plan: Plan) -> None:
    plan.options["metadata"] = ("meta_cause",)


PLANTED: dict[str, tuple[str, Callable[[Plan], None]]] = {
    "speakers": ("speakers", _speakers),
    "groups": ("groups", _groups),
    "videos": ("videos", _videos),
    "transcripts": ("transcripts", _transcripts),
    "near-transcripts": ("transcripts", _near_transcripts),
    "transcripts-of-one-class": ("transcripts", _transcripts_of_one_class),
    "transcripts-without-spaces": ("transcripts", _transcripts_without_spaces),
    "transcripts-in-another-order": ("transcripts", _transcripts_in_another_order),
    "transcripts-with-fillers": ("transcripts", _transcripts_with_fillers),
    "media": ("media", _media),
    "seen": ("seen", _seen),
    "contamination": ("contamination", _contamination),
    "choices": ("choices", _choices),
    "select-on": ("choices", _select_on),
    "permuted": ("permuted", _permuted),
    "metadata": ("metadata", _metadata),
}
