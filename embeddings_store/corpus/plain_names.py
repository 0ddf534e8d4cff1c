"""Names as a person compares them: ``spk1``, `` SPK_01`` and ``train_spk1`` are one."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

# Words that say in which split a row stands and nothing of what it is.
SPLIT_WORDS = frozenset(
    [
        *("train", "training", "trn"),
        *("valid", "validation", "val", "dev", "development"),
        *("test", "testing", "tst", "eval"),
    ]
)
# What may stand before a name without being a corpus: the speaker's sex.
SEXES = frozenset(
    [*("f", "w", "female", "woman", "women", "girl"), *("m", "male", "man", "men", "boy")]
)
DIGITS_OR_LETTERS = re.compile(r"\d+|[^\d\s]+")
FIRST_PART = re.compile(r"\s*([^\W\d_]{2,})[-_:/. ]+(.+)")


def plain_name(name: str) -> str:
    """Return the words and numbers of a name, in small letters, without its split.

    Separators, case, leading zeros and other spellings of the same characters do not count. A
    split's word stays where numbers alone would be left: ``train_1`` and ``test_1`` are as likely
    two as one.

    >>> {plain_name(name) for name in (" spk1", "SPK1", "spk_01", "train_spk1", "ｓｐｋ１")}
    {'spk 1'}
    >>> plain_name("train_1"), plain_name("S1-2"), plain_name("S12"), plain_name("?")
    ('train 1', 's 1 2', 's 12', '?')
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    if text.isascii():  # most are, and millions of names are slow letter by letter
        parts = re.findall(r"\d+|[a-z]+", text)
    else:
        parts = DIGITS_OR_LETTERS.findall("".join(_letter_digit_or_space(c) for c in text))
    words = [word.lstrip("0") or "0" if word.isdigit() else word for word in parts]
    without_split = [word for word in words if word not in SPLIT_WORDS]
    if any(not word.isdigit() for word in without_split):
        words = without_split
    return " ".join(words) or text.strip()


def plain_names(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return :func:`plain_name` of each name (N,), ``""`` where there is none."""
    import pandas as pd

    codes, unique = pd.factorize(pd.Series(names, dtype=object))
    plain = np.array([plain_name(str(name)) for name in unique], dtype=object)
    return np.asarray(plain[codes], dtype=str)


def without_corpus(name: str, row_id: str) -> str:
    """Return a name without the corpus before it, where the row's id begins with that as well.

    Whoever joins corpora puts their names before ids and speakers, lest they meet.

    >>> without_corpus("iemocap_Ses01F", "iemocap_Ses01F_impro01_F000")
    'Ses01F'
    >>> without_corpus("female_03", "female_03_a"), without_corpus("spk_1", "u17")
    ('female_03', 'spk_1')
    """
    match = FIRST_PART.fullmatch(name)
    if match is None:
        return name
    corpus, rest = match[1].casefold(), match[2]
    says_something = re.search(r"[^\W\d_]", rest) is not None
    if says_something and corpus not in SEXES and row_id.strip().casefold().startswith(corpus):
        return rest
    return name


def spelling(label: str) -> str:
    """Return a label without case, outer spaces and kind of separator; signs stay.

    >>> {spelling(label) for label in ("anger", "ANGER", "anger ", "Anger")}
    {'anger'}
    >>> spelling("very_happy") == spelling("Very happy"), spelling("-1") == spelling("1")
    (True, False)
    """
    text = unicodedata.normalize("NFKC", label).strip().casefold()
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text.replace("_", " "))


def _letter_digit_or_space(character: str) -> str:
    """Return a letter with its marks or a digit as it is, nothing for what cannot be seen."""
    category = unicodedata.category(character)
    if category[0] in "LMN":
        return character
    return "" if category == "Cf" else " "
