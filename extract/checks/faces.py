"""Checks of what looking at the pictures showed: is a face in them, and is it the speaker's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from extract.checks.finding import CorpusFinding, FaceFacts, ReleaseUnderCheck
from extract.checks.mouths import agreement

# Below this share of its pictures a row's face is more guessed than seen.
MOSTLY = 0.5
# With the sounds of so many other rows a row's own is compared, and at least with so many.
OTHERS, FEWEST_OTHERS = 40, 10
# Of rows that show a speaker whose mouth follows the sound visibly, fewer disagree by chance; of
# those that show somebody else half, and nearly all where the other half of a split screen is seen
# too. Measured on drawn heads, see benchmarks/README.md.
BY_CHANCE, FEWEST_ROWS = 0.15, 20


def faces_found(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Say in which share of the pictures a face was found, and in which rows in few or none."""
    if not release.faces:
        if release.media_of("video"):
            yield CorpusFinding(
                "fact",
                "faces",
                "nobody looked whether the speaker's face is in the pictures; --faces 50 does",
                data={"rows": {}},
            )
        return
    shares = np.array([facts.share for facts in release.faces])
    whole, none = int((shares == 1).sum()), int((shares == 0).sum())
    part = len(shares) - whole - none
    yield CorpusFinding(
        "fact",
        "faces",
        f"a face in {shares.mean():.0%} of the pictures of {len(shares):,} rows: {whole:,} rows "
        f"with one in all, {part:,} in some, {none:,} without",
        len(shares),
        data={"share": float(shares.mean()), "rows": {f.row: f.share for f in release.faces}},
    )
    without = [f"{facts.row}: {facts.problem}" for facts in release.faces if facts.problem]
    if without:
        yield CorpusFinding(
            "warning",
            "faces",
            "row whose face cannot be followed",
            len(without),
            without,
            "look at them on the contact sheet (--out DIR); --region face leaves these rows out",
        )
    few = [f"{f.row}: {f.share:.0%}" for f in release.faces if 0 < f.share < MOSTLY]
    if few:
        yield CorpusFinding(
            "warning",
            "faces",
            f"row with a face in fewer than {MOSTLY:.0%} of its pictures",
            len(few),
            few,
            "its place in the others is a guess; look at them on the contact sheet (--out DIR)",
        )


def speakers_seen(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Say in how many rows a mouth does not move with the row's sound, which a listener's does not.

    A hint about a corpus: of a single row it says little.
    """
    watched = [facts for facts in release.faces if facts.mouth]
    judged = [facts for facts in watched if len(_others(facts, watched)) >= FEWEST_OTHERS]
    if not judged:
        if watched:
            yield CorpusFinding(
                "fact",
                "speakers",
                f"whether the mouths move with the sound was not judged: it takes more than "
                f"{FEWEST_OTHERS} rows with sound and a face, there are {len(watched)}",
            )
        return
    disagree = [facts.row for facts in judged if _disagrees(facts, _others(facts, watched))]
    data = {"rows": len(judged), "disagree": disagree}
    if len(judged) < FEWEST_ROWS or len(disagree) <= BY_CHANCE * len(judged):
        yield CorpusFinding(
            "fact",
            "speakers",
            f"in {len(judged) - len(disagree):,} of {len(judged):,} rows the mouth moves with the "
            "row's own sound rather than with others'; by chance alone half would",
            len(judged),
            data=data,
        )
        return
    yield CorpusFinding(
        "warning",
        "speakers",
        f"row, of {len(judged):,}, whose mouth moves no more with its own sound than with others', "
        "or less than the mouth in the other half",
        len(disagree),
        disagree,
        "play some of them: the person in the picture may be the one who listens, or the mouths "
        "are too small or too still to tell",
        data=data,
    )


def _others(facts: FaceFacts, watched: Sequence[FaceFacts]) -> list[FaceFacts]:
    """Return rows, evenly spread, whose sound is as long as this row was watched."""
    length = len(facts.loud)
    found = [other for other in watched if other is not facts and len(other.loud) >= length]
    if len(found) > OTHERS:
        found = [found[i * len(found) // OTHERS] for i in range(OTHERS)]
    return found


def _disagrees(facts: FaceFacts, others: Sequence[FaceFacts]) -> bool:
    length = len(facts.loud)
    mouth, loud = np.array(facts.mouth), np.array([facts.loud])
    (own,) = agreement(mouth, loud)
    if own <= np.median(agreement(mouth, np.array([other.loud[:length] for other in others]))):
        return True
    if not facts.other_mouth:
        return False
    other_mouth = np.array(facts.other_mouth)
    length = min(length, other_mouth.shape[1])
    return bool(agreement(other_mouth[:, :length], loud[:, :length])[0] > own)
