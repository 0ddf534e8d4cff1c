"""What counts as the same transcript, and how much one says, in any script.

Case, punctuation and spacing make no difference; to a person, neither do fillers and the order of
the words. Used wherever two texts are compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Characters of scripts that put no spaces between words, and how many of them count as one word:
# two for Chinese and Japanese, whose words mostly have one or two; four for Thai, Lao, Burmese and
# Khmer.
DENSE = (
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{1,2}"
    r"|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{1,4}"
)
# Hesitations and feedback in their usual spellings, normalised. A word that is left out wrongly
# costs little: two texts count as the same only if all their other words agree.
FILLERS = frozenset(
    [
        *("ah", "eh", "er", "erm", "hm", "hmm", "huh", "mhm", "mm", "oh", "uh", "um", "well"),
        *("ach", "äh", "ähm", "ehm", "tja"),
        *("ben", "euh", "heu", "hein"),
        *("eeh", "em", "este", "mmm"),
        *("어", "음", "아", "그", "저"),
        *("啊", "呃", "嗯", "哦", "唉"),
        *("ああ", "あの", "うん", "えー", "えっと", "ええ"),
    ]
)


def normalised(texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return texts (n,) in compatible Unicode, folded case, words alone with one space between.

    ``""`` for nothing said.

    Apostrophes vanish and all other punctuation parts words, so that two hands that wrote down the
    same words agree.

    >>> normalised(np.array(["Don't  STOP -- now!", "dont stop\u2014now", "[LAUGHTER]"])).tolist()
    ['dont stop now', 'dont stop now', 'laughter']
    """
    import pandas as pd

    column = pd.Series(texts, dtype="str").str.normalize("NFKC").str.casefold()
    column = (
        column.str.replace(r"['\u2019\u02bc]", "", regex=True)
        .str.replace(r"[\W_]+", " ", regex=True)
        .str.strip()
    )
    return np.asarray(column.to_numpy(dtype=str))


def count_words(texts: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return how many words normalised texts (n,) have, also where no spaces part them.

    >>> count_words(np.array(["i never want to see you", "我再也不想见到你", ""])).tolist()
    [6, 4, 0]
    """
    import pandas as pd

    column = pd.Series(texts, dtype="str").str.replace(DENSE, " w ", regex=True)
    return np.asarray(column.str.count(r"\S+").to_numpy(dtype=np.int64))


def as_heard(texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return normalised texts (n,) without fillers and with their words in alphabetical order.

    Two of them are equal where a person would say that the same words were spoken.

    >>> as_heard(np.array(["well i uh never saw you", "you i never saw"])).tolist()
    ['i never saw you', 'i never saw you']
    """
    heard = []
    for text in texts.tolist():
        words = [word for word in text.split() if word not in FILLERS]
        heard.append(" ".join(sorted(words)))
    return np.array(heard, dtype=str)
