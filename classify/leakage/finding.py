"""What a check answers: a verdict with its number, examples, what it means and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.json_values import number, text

LEAK, CAUTION, NOT_CHECKED, CLEAN = "leak", "caution", "not checked", "clean"
VERDICTS = (LEAK, CAUTION, NOT_CHECKED, CLEAN)
SHOWN_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class LeakageFinding:
    """What one check found.

    Attributes:
        verdict: ``leak`` (the set-up does something wrong), ``caution`` (it belongs to the corpus,
            and a reader must know), ``clean``, or ``not checked`` (the check had nothing to look
            at; never taken for clean).
        number: What was counted, in one line.
        means: What that does to an accuracy; needed for leaks and cautions.
        advice: What to do; needed for leaks.
        examples: A few rows, groups or files.
        share: The part of the test rows that is concerned, in [0, 1]; none where rows are not what
            is counted.
        details: Further figures by name, for programs.
    """

    verdict: str
    number: str
    means: str = ""
    advice: str = ""
    examples: Sequence[str] = ()
    share: float | None = None
    details: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that a verdict is one of :data:`VERDICTS` and says what it has to."""
        if self.verdict not in VERDICTS:
            unknown_name("verdict", self.verdict, VERDICTS)
        needs_meaning = self.verdict in (LEAK, CAUTION)
        needs_advice = self.verdict == LEAK
        if (
            not self.number
            or (needs_meaning and not self.means)
            or (needs_advice and not self.advice)
        ):
            raise UsageError(
                f"a finding with the verdict {self.verdict!r} lacks its number, its meaning or "
                "its advice"
            )

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON types."""
        return {
            "verdict": self.verdict,
            "number": self.number,
            "share": self.share,
            "means": self.means,
            "advice": self.advice,
            "examples": list(self.examples),
            "details": dict(self.details),
        }

    @property
    def of_test_rows(self) -> str:
        """Say how many test rows are concerned; empty where rows are not what is counted.

        Texts that are nearly the same count; where fewer are the same word for word, both are said.

        >>> LeakageFinding(CLEAN, "few", share=0.1).of_test_rows
        '10.0 % of test rows'
        >>> LeakageFinding(CLEAN, "few", share=0.281, details={"identical": 0.206}).of_test_rows
        '28.1 % of test rows with near-identical ones, 20.6 % word for word'
        """
        if self.share is None:
            return ""
        identical = self.details.get("identical", self.share)
        if identical < self.share:
            return (
                f"{per_cent(self.share)} of test rows with near-identical ones, "
                f"{per_cent(identical)} word for word"
            )
        return f"{per_cent(self.share)} of test rows"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LeakageFinding:
        """Read what :meth:`to_dict` returned.

        Raises:
            KeyError, ValueError: A part is missing, or is not of its kind.
        """
        share = data["share"]
        return cls(
            text(data["verdict"]),
            text(data["number"]),
            text(data["means"]),
            text(data["advice"]),
            tuple(map(text, data["examples"])),
            None if share is None else number(share),
            {name: number(value) for name, value in data["details"].items()},
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a check counted, before it is judged.

    Attributes:
        number: What was counted, in one line.
        examples: A few rows, groups or files.
        share: The part of the test rows that is concerned, in [0, 1]; none where rows are not what
            is counted.
        details: Further figures by name, for programs.
    """

    number: str
    examples: Sequence[str] = ()
    share: float | None = None
    details: dict[str, float] = field(default_factory=dict)

    def leak(self, means: str, advice: str) -> LeakageFinding:
        """Judge that the set-up does something wrong."""
        return self._judged(LEAK, means, advice)

    def caution(self, means: str) -> LeakageFinding:
        """Judge that this belongs to the corpus, and that a reader must know."""
        return self._judged(CAUTION, means, "")

    def _judged(self, verdict: str, means: str, advice: str) -> LeakageFinding:
        return LeakageFinding(
            verdict, self.number, means, advice, self.examples, self.share, self.details
        )


def some(values: Sequence[str]) -> tuple[str, ...]:
    """Return the first few different values as examples.

    >>> some(["a", "b", "b", "c", "d"])
    ('a', 'b', 'c')
    """
    return tuple(dict.fromkeys(map(str, values)))[:SHOWN_EXAMPLES]


def per_cent(share: float) -> str:
    """Return a share for people; a few rows of many do not become 0.0 %.

    >>> per_cent(0.2204), per_cent(0.0001), per_cent(0.0)
    ('22.0 %', '0.01 %', '0.0 %')
    """
    return f"{100 * share:.2f} %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
