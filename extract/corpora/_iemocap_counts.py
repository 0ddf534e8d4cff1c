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

    Per session and raw label where sessions are known, else in total.

    Under ``iemocap-4`` also per session for gender and kind. All hold for dialogues of every kind.
    """
    found = []
    for label, total in TOTAL.items():
        under = {
            "kind": "all",
            "label_set": tuple(
                name for name, labels in label_sets.items() if label in labels.mapping
            ),
        }
        per_session = zip(SESSIONS, PER_SESSION[label], strict=True) if label in PER_SESSION else ()
        found += [
            Documented(count, {"label": label, "session": session}, options=under)
            for session, count in per_session
        ] or [Documented(total, {"label": label}, options=under)]
    found.append(Documented(sum(TOTAL.values()), options={"kind": "all", "all_turns": True}))
    merged = {
        "kind": "all",
        "all_turns": False,
        "label_set": tuple(
            name for name, labels in label_sets.items() if labels.mapping.keys() == MERGED
        ),
    }
    found += [
        Documented(count, {column: value, "session": session}, options=merged)
        for (column, value), counts in FOUR_WAY.items()
        for session, count in zip(SESSIONS, counts, strict=True)
    ]
    return tuple(found)
