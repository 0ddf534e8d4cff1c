"""What the figures of a run may be called: one value that every output carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

CLAIM = "claim"  # the column of every table, and the key in every file's own description
RESULT = "result"
UPPER_BOUND = "upper bound"
LEAKY = "leaky metadata"
SHUFFLED = "labels shuffled"
BY_INPUT = "folds by "  # and what the plan keeps apart in the place of speakers
ACCEPTED = "accepted leak: "  # and the names of the checks
FOUND = "leak found: "  # likewise
BETWEEN = "; "
TRUE_LABELS = "no"  # what the column labels_shuffled says of them


@dataclass(frozen=True, slots=True)
class Claim:
    """What the figures of a run may be called.

    Its text is the column ``claim`` of every table, and whoever reads results takes it from there.

    Attributes:
        reasons: Why the figures are no plain result; none where they are one.

    >>> Claim().text, Claim().stamp
    ('result', '')
    >>> Claim.read("upper bound; accepted leak: speakers, media").accepted
    ('speakers', 'media')
    """

    reasons: tuple[str, ...] = ()

    @classmethod
    def of_run(
        cls,
        *,
        upper_bound: bool = False,
        leaky: bool = False,
        shuffle_seed: int | None = None,
        apart_by: str = "",
        accepted: Sequence[str] = (),
        found: Sequence[str] = (),
    ) -> Claim:
        """Return what a run may be called.

        Args:
            upper_bound: Whether test rows chose anything.
            leaky: Whether metadata is in use that may explain the label.
            shuffle_seed: With which seed the labels were permuted, if they were.
            apart_by: What the fold plan keeps apart where it is not speakers, ``sentence`` or
                ``recording``; see :func:`embeddings_store.folds.apart.apart_by`.
            accepted: Checks of the leakage audit whose leak the user takes knowingly.
            found: Checks that found a leak which nobody accepted.

        >>> Claim.of_run(shuffle_seed=3, accepted=["speakers"]).text
        'labels shuffled (seed 3); accepted leak: speakers'
        """
        reasons = []
        if upper_bound:
            reasons.append(UPPER_BOUND)
        if leaky:
            reasons.append(LEAKY)
        if shuffle_seed is not None:
            reasons.append(_shuffled(f"seed {shuffle_seed}"))
        if apart_by:
            reasons.append(f"{BY_INPUT}{apart_by}, not by speaker")
        if accepted:
            reasons.append(f"{ACCEPTED}{', '.join(accepted)}")
        if found:
            reasons.append(f"{FOUND}{', '.join(found)}")
        return cls(tuple(reasons))

    @classmethod
    def read(cls, text: str) -> Claim:
        """Return the claim of a text; one that says nothing claims to be a plain result."""
        parts = (part.strip() for part in text.split(BETWEEN.strip()))
        return cls(tuple(part for part in parts if part not in ("", RESULT)))

    @classmethod
    def of_rows(cls, rows: pd.DataFrame) -> Claim:
        """Return what some rows of results may be called, all of them together.

        Args:
            rows: A table of results; its columns ``claim`` and ``labels_shuffled`` are read, the
                latter because earlier versions named permuted labels there alone.
        """
        claims = []
        if CLAIM in rows:
            claims += [cls.read(text) for text in _words(rows[CLAIM])]
        claim = cls.all_of(claims)
        if any(reason.startswith(SHUFFLED) for reason in claim.reasons):
            return claim
        if "labels_shuffled" in rows:
            seeds = set(_words(rows["labels_shuffled"])) - {"", TRUE_LABELS}
            return cls.all_of([claim, cls(tuple(_shuffled(seed) for seed in sorted(seeds)))])
        return claim

    @classmethod
    def all_of(cls, claims: Iterable[Claim]) -> Claim:
        """Return what may be said of several runs together: the reasons of all."""
        reasons: dict[str, None] = {}
        for claim in claims:
            reasons |= dict.fromkeys(claim.reasons)
        return cls(tuple(reasons))

    @property
    def text(self) -> str:
        """What stands in the column ``claim``."""
        return BETWEEN.join(self.reasons) or RESULT

    @property
    def is_result(self) -> bool:
        """Say whether the figures are a plain result."""
        return not self.reasons

    @property
    def mark(self) -> str:
        """What the title of a table or figure adds; empty for a plain result."""
        return "" if self.is_result else self.text.upper()

    @property
    def stamp(self) -> str:
        """The mark as a sentence of its own; empty for a plain result."""
        return f"{self.mark}, no result" if self.mark else ""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The checks of the leakage audit whose leak was accepted."""
        return self._checks(ACCEPTED)

    @property
    def asked_for(self) -> Claim:
        """The reasons that the user's own options give, without leaks that an audit found later."""
        return Claim(tuple(r for r in self.reasons if not r.startswith(FOUND)))

    @property
    def is_taken_knowingly(self) -> bool:
        """Say whether leaks that the user accepts, or folds by sentence, are the only reasons."""
        return bool(self.reasons) and all(r.startswith((ACCEPTED, BY_INPUT)) for r in self.reasons)

    def _checks(self, kind: str) -> tuple[str, ...]:
        names: list[str] = []
        for reason in self.reasons:
            if reason.startswith(kind):
                names += reason.removeprefix(kind).split(", ")
        return tuple(names)


def _words(column: pd.Series) -> list[str]:
    """Return the different words of a column; one of nothing but empty cells may be of numbers."""
    return [str(word) for word in column.dropna().unique()]


def _shuffled(seed: str) -> str:
    return f"{SHUFFLED} ({seed})"
