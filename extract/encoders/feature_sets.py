"""The table of classical features of sound: fixed formulas that learnt from no data.

Imports nothing heavy. To add another of openSMILE's sets, add one row.
"""

from __future__ import annotations

from dataclasses import dataclass

# Research only: no direct or indirect use in a product, models and features included.
_AUDEERING = "audEERING Research License, no commercial use"


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """One set of features.

    Attributes:
        name: How it is called in commands and in the store.
        package: What computes it: ``librosa`` or ``opensmile``.
        package_name: How that package calls the set.
        dim: Features of a clip, or of a frame where frames are pooled afterwards.
        licence: Of the package that computes it.
        source: Paper or page that defines it.
        note: What is in it.
    """

    name: str
    package: str
    package_name: str
    dim: int
    licence: str
    source: str
    note: str


FEATURE_SETS = (
    FeatureSet(
        "mfcc",
        "librosa",
        "mfcc",
        60,
        "ISC",
        "https://librosa.org/doc/latest/generated/librosa.feature.mfcc.html",
        "20 MFCCs of 40 mel bands with their first and second differences over 9 frames, windows "
        "of 25 ms every 10 ms; their means, then their deviations",
    ),
    FeatureSet(
        "egemaps",
        "opensmile",
        "eGeMAPSv02",
        88,
        _AUDEERING,
        "https://doi.org/10.1109/TAFFC.2015.2457417",
        "the extended Geneva minimalistic set: pitch, loudness, spectrum and voice quality",
    ),
    FeatureSet(
        "compare",
        "opensmile",
        "ComParE_2016",
        6373,
        _AUDEERING,
        "https://doi.org/10.21437/Interspeech.2016-129",
        "the set of the ComParE challenges since 2013",
    ),
)


def feature_set(name: str) -> FeatureSet:
    """Return the row of that name.

    >>> feature_set("egemaps").dim
    88
    """
    [row] = [each for each in FEATURE_SETS if each.name == name]
    return row
