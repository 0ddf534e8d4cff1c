"""Two tables as data.

What belongs to a corpus by its design, and which public encoders were trained on which corpus.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from classify.leakage.case import AuditCase

BY_DESIGN = Path(__file__).with_name("by_design.csv")
CONTAMINATION = Path(__file__).with_name("contamination.csv")


@dataclass(frozen=True, slots=True)
class CorpusDesign:
    """What a corpus is known for: the overlap that one check counts belongs to it.

    Attributes:
        corpus: The corpus, as in :func:`is_corpus`.
        check: Name of the check.
        why: What the corpus is, in words.
        source: Where that is written.
    """

    corpus: str
    check: str
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class ContaminatedEncoder:
    """An encoder that is known to have been trained on the labels of a corpus.

    Its page was read, none is from memory.

    Attributes:
        hub_id: Its repository.
        corpus: The corpus, as in :func:`is_corpus`.
        trained: ``encoder``, or ``head`` where the encoder itself was kept as it was.
        rows: Which rows of the corpus, as far as its page says.
        source: The page that says so.
    """

    hub_id: str
    corpus: str
    trained: str
    rows: str
    source: str


def by_design(case: AuditCase, check: str) -> CorpusDesign | None:
    """Return why the overlap that a check counts belongs to the corpus, if that is known.

    No design excuses a plan that tests and trains on the same groups.
    """
    if any(case.torn(fold, "train", "test").any() for fold in case.plan):
        return None
    for name in corpus_names(case):
        for design in designs():
            if design.check == check and is_corpus(name, design.corpus):
                return design
    return None


def corpus_names(case: AuditCase) -> tuple[str, ...]:
    """Return what the corpus is called.

    Its name in the store, which a user may choose, and its label set's.
    """
    labels = case.manifest.labels
    return (case.manifest.name, labels.name) if labels else (case.manifest.name,)


def is_corpus(name: str, key: str) -> bool:
    """Say whether a corpus' name begins with the words of a key.

    >>> is_corpus("CREMA-D_faces", "cremad"), is_corpus("iemocap-4", "iemocap")
    (True, True)
    >>> is_corpus("meldings", "meld")
    False
    """
    words = re.findall(r"[a-z]+", name.lower())
    return any("".join(words[:count]) == key for count in range(1, len(words) + 1))


@cache
def designs() -> tuple[CorpusDesign, ...]:
    """Return the table of designs."""
    return tuple(CorpusDesign(**row) for row in _rows(BY_DESIGN))


@cache
def contaminations() -> tuple[ContaminatedEncoder, ...]:
    """Return the table of encoders."""
    return tuple(ContaminatedEncoder(**row) for row in _rows(CONTAMINATION))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))
