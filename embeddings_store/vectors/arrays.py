"""Arrays that never travel without their ids, their fold and their label order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import StoreError

SEEN = ("no", "fit", "select", "unknown")
STATUS = ("ok", "missing", "failed")
FOLD_NAME = r"any|final|[1-9]\d*(\.inner-[1-9]\d*)?"
SCORED_ROLES = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class EncoderRef:
    """Which vectors these are.

    Attributes:
        name: Registry name, or the folder-safe hub id or folder name; ``.L3`` marks a layer that is
            not the last.
        fingerprint: Twelve hex digits over weights and every setting that changes a vector.
        modality: ``text``, ``audio``, ``video``, or what an import called it.
        layer: Layer number, -1 where there is no such thing.
        seed: The seed of the fine-tuning, 0 for frozen encoders.
    """

    name: str
    fingerprint: str
    modality: str
    layer: int = -1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that name and fingerprint make one folder name that can be taken apart again."""
        for what, text in (("name", self.name), ("fingerprint", self.fingerprint)):
            if not text or text.startswith(".") or set(text) & set("/\\@\x00"):
                raise StoreError(
                    f"encoder {what} {text!r} cannot be part of a folder name; leave out '/', "
                    "'\\', '@' and a leading '.'"
                )

    @property
    def folder(self) -> str:
        """The folder's name in the store: ``encoder@fingerprint``."""
        return f"{self.name}@{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What one encoder made of one corpus.

    Attributes:
        ids: Utterance ids (N,).
        vectors: float32 (N, D); a row that is not ``ok`` is all ``nan``.
        seen: Per row what the encoder knows of it (N,): ``no | fit | select | unknown``.
        status: Per row (N,): ``ok | missing | failed``.
        reason: Per row (N,): why it is not ok, or a caution such as ``silent``; else empty.
        encoder: Which encoder, configuration, seed.
        fold: ``"any"`` for frozen encoders, ``"3"``, ``"3.inner-2"``, or ``"final"``.
        scores: Class scores of the fine-tuned head, float32 (N, C) logits, or none.
        classes: The label order of ``scores``.
        inputs: Per row sixteen hex digits of what the encoder was given (N,), empty where nothing
            was; or none.
        attributes: Everything else that the file says: corpus, digests, settings, provenance.
    """

    ids: NDArray[np.str_]
    vectors: NDArray[np.float32]
    seen: NDArray[np.str_]
    status: NDArray[np.str_]
    reason: NDArray[np.str_]
    encoder: EncoderRef
    fold: str = "any"
    scores: NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()
    inputs: NDArray[np.str_] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that rows agree, ids are unique, ``ok`` rows are finite and others hold nothing."""
        import pandas as pd

        where = f"{self.encoder.folder}, fold {self.fold}"
        if not re.fullmatch(FOLD_NAME, self.fold):
            raise StoreError(
                f"{where}: a fold is 'any', 'final', a number such as '3', or '3.inner-2'"
            )
        n = len(self.ids)
        columns: dict[str, NDArray[np.generic] | None] = {
            "vectors": self.vectors,
            "seen": self.seen,
            "status": self.status,
            "reason": self.reason,
            "scores": self.scores,
            "inputs": self.inputs,
        }
        if self.ids.ndim != 1:
            raise StoreError(
                f"{where}: ids must have one dimension (N,), not the shape {self.ids.shape}"
            )
        for name, values in columns.items():
            if values is not None and len(values) != n:
                raise StoreError(f"{where}: {name} has {len(values)} rows for {n} ids")
        twice = n - pd.Index(self.ids).nunique()
        if twice or (self.ids == "").any():
            raise StoreError(
                f"{where}: "
                + (f"ids are not unique ({twice} too many)" if twice else "an id is empty")
            )
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32 or self.vectors.shape[1] < 1:
            raise StoreError(
                f"{where}: vectors must be float32 (N, D), not {self.vectors.dtype} "
                f"{self.vectors.shape}"
            )
        for name, values, known in (("seen", self.seen, SEEN), ("status", self.status, STATUS)):
            strange = sorted(set(pd.unique(values.astype(object)).tolist()) - set(known))
            if strange:
                raise StoreError(f"{where}: {name} holds {strange[0]!r}; known: {', '.join(known)}")
        self._check_values("vectors", self.vectors, where)
        if self.scores is not None:
            if (
                self.scores.shape != (n, len(self.classes))
                or len(self.classes) < 2
                or self.scores.dtype != np.float32
            ):
                raise StoreError(
                    f"{where}: scores are {self.scores.dtype} {self.scores.shape} for {n} rows, "
                    f"{len(self.classes)} classes; float32 (N, C) with two classes or more was "
                    "expected"
                )
            self._check_values("scores", self.scores, where)

    def _check_values(self, name: str, values: NDArray[np.float32], where: str) -> None:
        ok = self.status == "ok"
        finite = np.isfinite(values).all(axis=1)
        bad = np.flatnonzero(ok & ~finite)
        if len(bad):
            raise StoreError(
                f"{where}: {len(bad)} of {len(self.ids)} rows of '{name}' are not finite, first "
                f"{str(self.ids[bad[0]])!r}; re-run extract-features with --overwrite"
            )
        filled = np.flatnonzero(~ok & ~np.isnan(values).all(axis=1))
        if len(filled):
            raise StoreError(
                f"{where}: row {str(self.ids[filled[0]])!r} is {self.status[filled[0]]} and yet "
                f"has '{name}'; such rows must be nan"
            )

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have a vector, shape (N,)."""
        return np.asarray(self.status == "ok")
