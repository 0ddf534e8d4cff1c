"""How many turns the IEMOCAP release has per session, label, gender and kind."""

from __future__ import annotations

from collections.abc import Mapping

from embeddings_store.corpus.labels import LabelSet
from extract.corpora._notes import Documented

SESSIONS = ("Ses01", "Ses02", "Ses03", "Ses04", "Ses05")
PER_SESSION = {
    "ang": (229, 137, 240, 327, 170),
    "hap": (135, 117, 135, 65, 143),
    "exc": (143, 210, 151, 238, 299),
    "neu": (384, 362, 320, 258, 384),
    "sad": (194, 197, 305, 143, 245),
}
TOTAL = {
    "ang": 1103,
    "hap": 595,
    "exc": 1041,
    "neu": 1708,
    "sad": 1084,
    "fru": 1849,
    "sur": 107,
    "fea": 40,
    "dis": 2,
    "oth": 3,
    "xxx": 2507,
}
# Of the 5,531 turns of the label set iemocap-4.
MERGED = frozenset(PER_SESSION)
FOUR_WAY = {
    ("meta_gender", "female"): (528, 481, 522, 528, 590),
    ("meta_gender", "male"): (557, 542, 629, 503, 651),
    ("meta_kind", "scripted"): (564, 493, 524, 497, 510),
    ("meta_kind", "improvised"): (521, 530, 627, 534, 731),
}


def documented(label_sets: Mapping[str, LabelSet]) -> tuple[Documented, ...]:
    """Return the release's counts for each label set.

    Per session and raw label where sessions are known, else in total. Under ``iemocap-4`` also per
    session for gender and kind. All hold for dialogues of every kind.
    """
    found = []
    for label, total in TOTAL.items():
        counting = [name for name, labels in label_sets.items() if label in labels.mapping]
        under = {"kind": "all", "label_set": tuple(counting)}
        if label not in PER_SESSION:
            found.append(Documented(total, {"label": label}, options=under))
            continue
        for session, count in zip(SESSIONS, PER_SESSION[label], strict=True):
            where = {"label": label, "session": session}
            found.append(Documented(count, where, options=under))
    found.append(Documented(sum(TOTAL.values()), options={"kind": "all", "all_turns": True}))
    four_way = [name for name, labels in label_sets.items() if labels.mapping.keys() == MERGED]
    merged = {"kind": "all", "all_turns": False, "label_set": tuple(four_way)}
    for (column, value), counts in FOUR_WAY.items():
        for session, count in zip(SESSIONS, counts, strict=True):
            where = {column: value, "session": session}
            found.append(Documented(count, where, options=merged))
    return tuple(found)
