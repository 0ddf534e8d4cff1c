"""Which rows a bundle was fitted on, as digests: enough to refuse to score them, and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.bundle.packing import fields, named

Digests = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SeenRows:
    """What a system has seen.

    Attributes:
        rows: Of corpus and id of each row (n,).
        speakers: Of corpus and speaker (k,); none where nobody knows who speaks.
        inputs: View to the digests of what its encoder was given (m,), so that a clip is known
            again under another name or in another corpus.
    """

    rows: Digests
    speakers: Digests
    inputs: Mapping[str, Digests]

    @classmethod
    def of(
        cls,
        corpus: str,
        ids: Iterable[str],
        speakers: Iterable[str],
        inputs: Mapping[str, Iterable[str]],
    ) -> SeenRows:
        """Return the digests of what a system is fitted on.

        Args:
            corpus: The corpus' name.
            ids: Of its rows.
            speakers: Of its rows; empty ones count for nobody.
            inputs: View to what the store calls the inputs' digests: sixteen hex digits, or
                nothing.

        >>> seen = SeenRows.of("toy", ["a", "b"], ["Ann", ""], {"audio": ["00" * 8, ""]})
        >>> seen.has_rows("toy", ["b", "c"]).tolist(), seen.has_rows("other", ["b"]).tolist()
        ([True, False], [False])
        >>> seen.has_inputs("audio", ["00" * 8, "ff" * 8, ""]).tolist()
        [True, False, False]
        """
        return cls(
            _unique(_named(corpus, ids)),
            _unique(_named(corpus, (speaker for speaker in speakers if speaker))),
            {view: _unique(_of_hex(given)) for view, given in inputs.items()},
        )

    def has_rows(self, corpus: str, ids: Iterable[str]) -> NDArray[np.bool_]:
        """Say which rows of a corpus were fitted on (n,)."""
        return np.isin(np.array(_named(corpus, ids), dtype=np.uint64), self.rows)

    def has_speakers(self, corpus: str, speakers: Iterable[str]) -> NDArray[np.bool_]:
        """Say which rows are of a speaker that was fitted on (n,)."""
        names = list(speakers)
        known = np.isin(np.array(_named(corpus, names), dtype=np.uint64), self.speakers)
        named = np.array([bool(name) for name in names], dtype=bool)
        return np.asarray(known & named)

    def has_inputs(self, view: str, inputs: Iterable[str]) -> NDArray[np.bool_]:
        """Say which inputs of a view, sixteen hex digits each or nothing, were fitted on (n,)."""
        texts = list(inputs)
        given = np.array([bool(text) for text in texts], dtype=bool)
        found = np.zeros(len(texts), dtype=bool)
        own = self.inputs.get(view, np.zeros(0, dtype=np.uint64))
        digests = np.array(_of_hex(text for text in texts if text), dtype=np.uint64)
        found[given] = np.isin(digests, own)
        return found

    def state(self) -> dict[str, Any]:
        """Return the fields that :meth:`restore` takes."""
        return {"rows": self.rows, "speakers": self.speakers, "inputs": dict(self.inputs)}

    @classmethod
    def restore(cls, data: Any) -> SeenRows:
        """Return what :meth:`state` gave.

        Raises:
            ValueError: The fields are not those.
        """
        checks = {"rows": _digests, "speakers": _digests, "inputs": named(_digests)}
        return cls(**fields(data, "the rows that it has seen", checks))


def _digests(value: Any) -> Digests:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint64 or value.ndim != 1:
        raise ValueError("is no row of digests")
    return value


def _named(corpus: str, names: Iterable[str]) -> list[int]:
    found = []
    for name in names:
        digest = hashlib.sha256(f"{corpus}\0{name}".encode()).digest()
        found.append(int.from_bytes(digest[:8], "little"))
    return found


def _of_hex(texts: Iterable[str]) -> list[int]:
    return [int(text, 16) for text in texts if text]


def _unique(numbers: Iterable[int]) -> Digests:
    return np.unique(np.array(list(numbers), dtype=np.uint64))
