"""How many turns the IEMOCAP release has per session, label, gender and kind, and how a manifest differs from that."""

from __future__ import annotations

from embeddings_store.errors import LabelError
from embeddings_store.manifest import Manifest

SESSIONS = ("Ses01", "Ses02", "Ses03", "Ses04", "Ses05")
PER_SESSION = {
    "ang": (229, 137, 240, 327, 170),
    "hap": (135, 117, 135, 65, 143),
    "exc": (143, 210, 151, 238, 299),
    "neu": (384, 362, 320, 258, 384),
    "sad": (194, 197, 305, 143, 245),
}
TOTAL = {"ang": 1103, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084, "fru": 1849, "sur": 107, "fea": 40, "dis": 2,
         "oth": 3, "xxx": 2507}
# Of the 5,531 turns of the label set iemocap-4.
MERGED = frozenset(PER_SESSION)
FOUR_WAY = {
    ("meta_gender", "female"): (528, 481, 522, 528, 590),
    ("meta_gender", "male"): (557, 542, 629, 503, 651),
    ("meta_kind", "scripted"): (564, 493, 524, 497, 510),
    ("meta_kind", "improvised"): (521, 530, 627, 534, 731),
}


def check_counts(manifest: Manifest) -> tuple[str, ...]:
    """Compare a manifest of all dialogues with the full release.

    Args:
        manifest: What :func:`extract.corpora.iemocap.read` made, with raw labels and any of its label sets.

    Returns:
        One line per count that differs, none where all agree: per session and raw label for the five labels whose
        sessions are known, in total for the others, and per session for gender and kind under ``iemocap-4``.

    Raises:
        LabelError: The manifest has no label set.
    """
    if manifest.labels is None:
        raise LabelError(f"corpus {manifest.name!r} has no label set to count by")
    table = manifest.table[manifest.table["label"].isin(list(manifest.labels.mapping))]
    wanted = {(label, session): count for label, counts in PER_SESSION.items() if label in manifest.labels.mapping
              for session, count in zip(SESSIONS, counts, strict=True)}
    seen = {key: int(((table["label"] == key[0]) & (table["session"] == key[1])).sum()) for key in wanted}
    others = [label for label in manifest.labels.mapping if label not in PER_SESSION]
    wanted |= {(label, "all"): TOTAL[label] for label in others}
    seen |= {(label, "all"): int((table["label"] == label).sum()) for label in others}
    if manifest.labels.mapping.keys() == MERGED:
        for (column, value), counts in FOUR_WAY.items():
            for session, count in zip(SESSIONS, counts, strict=True):
                wanted[value, session] = count
                seen[value, session] = int(((table[column] == value) & (table["session"] == session)).sum())
    return tuple(f"count differs from the full release: {what} in {where} is {seen[what, where]}, not {count}"
                 for (what, where), count in wanted.items() if seen[what, where] != count)
