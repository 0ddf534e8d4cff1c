"""In what two rows agree that have nearly the same vector: input, recording, transcript or name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from classify.leakage.case import (
    LONG_WORDS,
    RECORDINGS,
    AuditCase,
    Codes,
    VectorFile,
    factorized,
)
from embeddings_store.corpus.column_names import read_from
from embeddings_store.corpus.columns import SPLIT_ROLES
from embeddings_store.corpus.transcripts import count_words, normalised

# A transcript that more rows have is a template that actors were given.
TEMPLATE_ROWS = 10
SHORT_NAME = 3  # a name of fewer characters is part of many
MADE_FROM = re.compile(
    r"^(augm?(ented)?|copy|copied|dup(licate)?|noisy?|noise|gain|loud|quiet|pitch|speed|fast|slow|"
    r"orig(inal)?|clean|shift|stretch|snr)\d*$"
)

Pairs = NDArray[np.int64]


class PairAgreement:
    """What pairs of rows of one corpus agree in.

    Args:
        case: The evaluation.
    """

    def __init__(self, case: AuditCase) -> None:
        self.case = case
        self._text_codes: dict[str, Codes] = {}

    def of(self, view: str, one: Codes, other: Codes) -> list[str]:
        """Say of each pair in what its rows agree, ``""`` for nothing.

        Args:
            view: The view whose vectors are near.
            one: Positions of rows (p,).
            other: Positions of as many (p,).

        Returns:
            ``input``, ``recording``, ``name`` or ``transcript`` (p,).
        """
        found = [""] * len(one)
        of_text = any(f.view == view and reads_text(f) for f in self.case.files)
        kinds = [("input", self.inputs), ("recording", self.recordings)]
        if not of_text:  # equal texts have equal vectors, which proves nothing
            kinds.append(("transcript", [self.rare_transcripts]))
        for place, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
            if of_text and self._differ_in_words(a, b):
                continue  # an encoder that cannot tell these words apart, and no copy
            same = [name for name, keys in kinds if _equal(keys, a, b)]
            if self._alike_in_name(a, b) and not (of_text and self._numbered_by_split(a, b)):
                same.append("name")
            found[place] = same[0] if same else ""
        return found

    def without_explained(
        self, file: VectorFile, ratios: NDArray[np.float64], pairs: Pairs
    ) -> NDArray[np.float64]:
        """Return ratios (q,) with 1 where the pair's rows say the same words.

        Equal words have equal vectors in any encoder of text, and the check of transcripts counts
        them. A pair that agrees in its name too stays what it is, but for names that every split
        counts from the start: MELD's ``dia0_utt0`` is another line in each.

        Args:
            file: The file that the vectors are from.
            ratios: Of each pair (q,).
            pairs: Positions of rows (q, 2).
        """
        if not reads_text(file):
            return ratios
        column = read_from(file.ref.modality)
        if column not in self.case.manifest.table:
            return ratios
        texts = self._texts(column)
        same = (texts[pairs[:, 0]] == texts[pairs[:, 1]]) & (texts[pairs[:, 0]] >= 0)
        for place in np.flatnonzero(same):
            a, b = pairs[place].tolist()
            named = self._alike_in_name(a, b) and not self._numbered_by_split(a, b)
            same[place] = not (named or _equal(self.recordings, a, b))
        return np.where(same, 1.0, ratios)

    def _texts(self, column: str) -> Codes:
        if column not in self._text_codes:
            self._text_codes[column] = factorized(normalised(self.case.manifest.column(column)))
        return self._text_codes[column]

    @property
    def things(self) -> list[Codes]:
        """Codes (N,) of everything but names in which two rows can agree, -1 for nothing."""
        return [*self.inputs, *self.recordings, self.rare_transcripts]

    @cached_property
    def inputs(self) -> list[Codes]:
        """Codes of the inputs of sound or pictures, by every file that knows them."""
        met: dict[bytes, Codes] = {}
        for file in self.case.files:
            if file.inputs is not None and not reads_text(file):
                keys = factorized(np.where(file.ok & ~file.silent, file.inputs, ""))
                met[keys.tobytes()] = keys
        return list(met.values())

    @cached_property
    def recordings(self) -> list[Codes]:
        """Codes of what each row is cut from, by every column that names it."""
        return [self.case.keys(c) for c in RECORDINGS if c in self.case.manifest.table]

    @cached_property
    def rare_transcripts(self) -> Codes:
        """Codes of transcripts that are long, and that few rows have."""
        texts = normalised(self.case.manifest.column("text"))
        codes = factorized(texts)
        rows = np.bincount(codes[codes >= 0], minlength=1)
        rare = (codes >= 0) & (rows[np.maximum(codes, 0)] <= TEMPLATE_ROWS)
        return np.where(rare & (count_words(texts) >= LONG_WORDS), codes, -1)

    @cached_property
    def _names(self) -> list[NDArray[np.str_]]:
        columns = [c for c in ("id", "audio", "video") if c in self.case.manifest.table]
        return [self.case.manifest.column(column) for column in columns]

    @cached_property
    def _people_and_groups(self) -> list[tuple[Codes, Codes]]:
        """Codes of speakers and of groups, letter by letter and as a person compares them."""
        columns = ("speaker", "group")
        return [(self.case.keys(column), self.case.plain_keys(column)) for column in columns]

    @cached_property
    def _transcript_codes(self) -> Codes:
        return factorized(normalised(self.case.manifest.column("text")))

    def _differ_in_words(self, a: int, b: int) -> bool:
        one, other = self._transcript_codes[a], self._transcript_codes[b]
        return bool(one >= 0 and other >= 0 and one != other)

    def _alike_in_name(self, a: int, b: int) -> bool:
        for exact, plain in self._people_and_groups:
            if exact[a] != exact[b] and plain[a] == plain[b] >= 0:
                return True
        return any(alike(str(names[a]), str(names[b])) for names in self._names)

    def _numbered_by_split(self, a: int, b: int) -> bool:
        """Whether the rows' names or folders say that they are of different splits."""
        for names in self._names:
            one, other = (_splits_in(str(names[row])) for row in (a, b))
            if one and other and one != other:
                return True
        return False


def reads_text(file: VectorFile) -> bool:
    """Say whether a file's encoder was given words."""
    modality = read_from(file.ref.modality)
    return modality == "text" or modality.startswith("meta_")


def alike(one: str, other: str) -> bool:
    """Say whether two names seem to be those of one thing and of what was made from it.

    Folders and endings do not count. One name's words begin or end the other's, or both are the
    same without words such as ``copy`` and ``noise20``.

    >>> alike("u012", "u012_copy"), alike("noise/u012.wav", "clean/u012.wav")
    (True, True)
    >>> alike("u012_gain2", "u012_noise"), alike("u012", "u013"), alike("u1_2", "u1_3")
    (True, False, False)
    """
    first, second = _words(one), _words(other)
    if not first or not second:
        return False
    short, long = sorted((first, second), key=len)
    inside = short in (long[: len(short)], long[-len(short) :])
    if inside and len("".join(short)) >= SHORT_NAME and any(map(str.isdigit, "".join(short))):
        return True
    bare = [[word for word in words if not MADE_FROM.match(word)] for words in (first, second)]
    return bool(bare[0]) and bare[0] == bare[1]


def _words(name: str) -> list[str]:
    stem = PurePath(name).stem if re.search(r"\.[A-Za-z]\w{1,4}$", name) else PurePath(name).name
    return re.findall(r"[^\W_]+", stem.lower())


def _splits_in(name: str) -> set[str]:
    """Return the roles that a path's words speak of: train, valid, test."""
    words = re.findall(r"[^\W_]+", name.lower())
    return {SPLIT_ROLES[word] for word in words if word in SPLIT_ROLES}


def _equal(keys: Sequence[Codes], a: int, b: int) -> bool:
    return any(codes[a] == codes[b] >= 0 for codes in keys)
