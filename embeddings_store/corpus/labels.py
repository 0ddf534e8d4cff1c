"""Label sets: which classes there are, in which order, and which raw labels map onto them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import LabelError, did_you_mean


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Classes in a fixed order, and the raw labels that each one stands for.

    Attributes:
        name: How results name the set, for example ``"iemocap-4 (5531)"``.
        classes: Class names; the position is the integer code and the column of a score matrix.
        mapping: Raw label to class. Empty means that raw labels are the classes themselves.
        dropped: Raw labels that are known and left out on purpose.

    >>> of = {"ang": "anger", "hap": "happiness", "exc": "happiness"}
    >>> four = LabelSet("four", ("anger", "happiness"), of, frozenset({"xxx"}))
    >>> four.encode(["exc", "ang", "xxx", ""]).tolist()
    [1, 0, -1, -1]
    """

    name: str
    classes: tuple[str, ...]
    mapping: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Fill the identity mapping and check that the set is consistent."""
        if not self.mapping:
            object.__setattr__(self, "mapping", {c: c for c in self.classes})
        if (
            len(self.classes) < 2
            or len(set(self.classes)) != len(self.classes)
            or "" in self.classes
        ):
            raise LabelError(
                f"label set {self.name!r} needs two or more different, non-empty classes, not "
                f"{self.classes}"
            )
        strangers = sorted(set(self.mapping.values()) - set(self.classes))
        if strangers:
            raise LabelError(
                f"label set {self.name!r} maps onto {strangers}, which are not among its classes "
                f"{self.classes}"
            )
        both = sorted(set(self.mapping) & self.dropped)
        if both:
            raise LabelError(f"label set {self.name!r} both maps and drops {both}")

    @classmethod
    def from_labels(cls, name: str, labels: Iterable[str]) -> LabelSet:
        """Make the set of the labels that occur, in alphabetical order; empty labels are no label.

        >>> LabelSet.from_labels("mine", ["sad", "angry", "sad", ""]).classes
        ('angry', 'sad')
        """
        return cls(name, tuple(sorted({label for label in labels if label})))

    def encode(self, raw: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Return the class code of each raw label (n,), -1 where it is empty or dropped.

        Raises:
            LabelError: A label is neither mapped nor dropped.
        """
        import pandas as pd

        codes = {name: code for code, name in enumerate(self.classes)}
        table = {label: codes[target] for label, target in self.mapping.items()}
        table |= dict.fromkeys(self.dropped, -1) | {"": -1}
        place, found = pd.factorize(np.asarray(raw, dtype=object), use_na_sentinel=False)
        unknown = sorted({str(label) for label in found} - set(table))
        if unknown:
            hint = did_you_mean(unknown[0], self.mapping) or ";"
            raise LabelError(
                f"label {unknown[0]!r} ({len(unknown)} unknown in all) is not in label set "
                f"{self.name!r}{hint} Known: {', '.join(self.mapping)}"
            )
        code_of = np.array([table[str(label)] for label in found], dtype=np.int64)
        return np.asarray(code_of[place])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "mapping": dict(sorted(self.mapping.items())),
            "dropped": sorted(self.dropped),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSet:
        """Rebuild a set written by :meth:`to_dict`.

        Raises:
            LabelError: A part is missing, or the set is not consistent.
        """
        try:
            return cls(
                data["name"],
                tuple(data["classes"]),
                dict(data["mapping"]),
                frozenset(data["dropped"]),
            )
        except (KeyError, TypeError) as error:
            raise LabelError(
                f"a label set needs name, classes, mapping and dropped; got {sorted(data)}"
            ) from error

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any class, their order, or the mapping."""
        content = {k: v for k, v in self.to_dict().items() if k != "name"}
        return hashlib.sha256(
            json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
        ).hexdigest()[:12]


def permute_labels(codes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return class codes (n,) permuted among the rows that have one; rows without (-1) stay so.

    A contract between the stages: an encoder that was fine-tuned on permuted labels can only be
    judged by a grid that sees the same permutation. It depends on nothing but the codes, their
    order and the seed.

    >>> permute_labels(np.array([0, -1, 1, 2, 2]), 0).tolist()
    [2, -1, 0, 1, 2]
    """
    labelled = np.flatnonzero(codes >= 0)
    permuted = codes.copy()
    permuted[labelled] = np.random.default_rng(seed).permutation(codes[labelled])
    return permuted
