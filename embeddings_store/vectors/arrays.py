"""Arrays that never travel without their ids, their fold and their label order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
class StoredRows:
    """What a file says of its rows beside their vectors, which are many times as large.

    Attributes:
        ids: Utterance ids (N,).
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
        path: The file, where there is one.
    """

    ids: NDArray[np.str_]
    seen: NDArray[np.str_]
    status: NDArray[np.str_]
    reason: NDArray[np.str_]
    encoder: EncoderRef
    fold: str = "any"
    scores: NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()
    inputs: NDArray[np.str_] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        """Check that rows agree, ids are unique, and scores are finite where they must be."""
        if not re.fullmatch(FOLD_NAME, self.fold):
            raise StoreError(
                f"{self.where}: a fold is 'any', 'final', a number such as '3', or '3.inner-2'"
            )
        if self.ids.ndim != 1:
            raise StoreError(
                f"{self.where}: ids must have one dimension (N,), not the shape {self.ids.shape}"
            )
        for name in ("seen", "status", "reason", "scores", "inputs"):
            self.check_length(name, getattr(self, name))
        n = len(self.ids)
        names = set(self.ids.tolist())
        if twice := n - len(names):
            raise StoreError(f"{self.where}: ids are not unique ({twice} too many)")
        if "" in names:
            raise StoreError(f"{self.where}: an id is empty")
        for name, values, known in (("seen", self.seen, SEEN), ("status", self.status, STATUS)):
            strange = sorted(set(values.tolist()) - set(known))
            if strange:
                raise StoreError(
                    f"{self.where}: {name} holds {strange[0]!r}; known: {', '.join(known)}"
                )
        if self.scores is None:
            return
        shape = (n, len(self.classes))
        is_sound = self.scores.shape == shape and self.scores.dtype == np.float32
        if not is_sound or len(self.classes) < 2:
            raise StoreError(
                f"{self.where}: scores are {self.scores.dtype} {self.scores.shape} for {n} rows, "
                f"{len(self.classes)} classes; float32 (N, C) with two classes or more was "
                "expected"
            )
        self.check_values("scores", [self.scores])

    @property
    def where(self) -> str:
        """Encoder and fold, for messages."""
        return f"{self.encoder.folder}, fold {self.fold}"

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have a vector, shape (N,)."""
        return np.asarray(self.status == "ok")

    def check_length(self, name: str, values: NDArray[np.generic] | None) -> None:
        """Check that a column has a row for each id.

        Args:
            name: What it is called.
            values: The column (N, ...), or none, which passes.

        Raises:
            StoreError: It has more or fewer.
        """
        if values is not None and len(values) != len(self.ids):
            raise StoreError(f"{self.where}: {name} has {len(values)} rows for {len(self.ids)} ids")

    def check_values(self, name: str, pieces: Iterable[NDArray[np.float32]]) -> None:
        """Check that ``ok`` rows are finite and others hold nothing but ``nan``.

        Args:
            name: What the values are called.
            pieces: All rows in their order, some at a time (n, D).

        Raises:
            StoreError: A row breaks the promise.
        """
        ok, begin = self.ok, 0
        bad: list[int] = []
        for values in pieces:
            of_piece = ok[begin : begin + len(values)]
            # a sum that is finite is of finite numbers; only other rows are looked at one by one
            with np.errstate(invalid="ignore", over="ignore"):
                sums = values.sum(axis=1)
            for row in np.flatnonzero(~(of_piece & np.isfinite(sums))):
                if of_piece[row]:
                    if not np.isfinite(values[row]).all():
                        bad.append(begin + int(row))
                elif not np.isnan(values[row]).all():
                    place = begin + int(row)
                    raise StoreError(
                        f"{self.where}: row {str(self.ids[place])!r} is {self.status[place]} and "
                        f"yet has '{name}'; such rows must be nan"
                    )
            begin += len(values)
        if bad:
            raise StoreError(
                f"{self.where}: {len(bad)} of {len(self.ids)} rows of '{name}' are not finite, "
                f"first {str(self.ids[bad[0]])!r}; re-run extract-features with --overwrite"
            )


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What one encoder made of one corpus.

    Attributes:
        ids: Utterance ids (N,).
        vectors: float32 (N, D); a row that is not ``ok`` is all ``nan``.
        seen: As in :class:`StoredRows`, like all that follow.
        status: Likewise.
        reason: Likewise.
        encoder: Likewise.
        fold: Likewise.
        scores: Likewise.
        classes: Likewise.
        inputs: Likewise.
        attributes: Likewise.
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
        rows = self.rows
        rows.check_length("vectors", self.vectors)
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32 or self.vectors.shape[1] < 1:
            raise StoreError(
                f"{rows.where}: vectors must be float32 (N, D), not {self.vectors.dtype} "
                f"{self.vectors.shape}"
            )
        rows.check_values("vectors", [self.vectors])

    @property
    def rows(self) -> StoredRows:
        """All but the vectors."""
        return StoredRows(
            self.ids,
            self.seen,
            self.status,
            self.reason,
            self.encoder,
            self.fold,
            self.scores,
            self.classes,
            self.inputs,
            self.attributes,
        )

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have a vector, shape (N,)."""
        return np.asarray(self.status == "ok")
