"""Checks of what looking at the pictures showed: is the speaker's face in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from extract.checks.finding import CorpusFinding, ReleaseUnderCheck

# Below this share of its pictures a row's face is more guessed than seen.
MOSTLY = 0.5


def faces_found(release: ReleaseUnderCheck) -> Iterator[CorpusFinding]:
    """Say in which share of the pictures a face was found, and in which rows in few or none."""
    if not release.faces:
        if release.media_of("video"):
            yield CorpusFinding(
                "fact",
                "faces",
                "nobody looked whether the speaker's face is in the pictures; --faces 50 does",
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
