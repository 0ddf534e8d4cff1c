"""Plans that keep sentences or recordings apart and not the people who speak: for one speaker."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.groups import group_or_speaker
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.transcripts import normalised

WHAT = ("sentence", "recording")


def apart_by(plan: str) -> str:
    """Return what a plan of this name keeps apart, empty for one of speakers, groups or files.

    >>> apart_by("sentence-kfold:5"), apart_by("leave-one-recording-out"), apart_by("split")
    ('sentence', 'recording', '')
    """
    match = re.match(rf"(?:leave-one-)?({'|'.join(WHAT)})-", plan)
    return match[1] if match else ""


def input_names(manifest: Manifest, what: str) -> NDArray[np.str_]:
    """Return what each row says, or the file that it is cut from (N,); empty where it has none.

    Args:
        manifest: The corpus.
        what: ``sentence``, equal but for case, spaces and punctuation; or ``recording``, the sound,
            where there is none the film.

    >>> columns = {"id": ["a", "b"], "text": ["Oh, no!", "oh no"], "audio": ["1.wav", ""]}
    >>> mine = Manifest.from_columns("mine", columns)
    >>> input_names(mine, "sentence").tolist(), input_names(mine, "recording").tolist()
    (['oh no', 'oh no'], ['1.wav', ''])
    """
    if what == "sentence":
        spoken = manifest.column("text")
        words = normalised(spoken)
        return np.where(words != "", words, spoken)
    sounds, films = manifest.column("audio"), manifest.column("video")
    return np.where(sounds != "", sounds, films)


def learning_groups(manifest: Manifest, plan: str) -> NDArray[np.str_]:
    """Return what choices within a fold keep together (N,), empty for a row by itself.

    The group, else the speaker; under a plan that keeps neither apart, what it keeps apart.

    Args:
        manifest: The corpus.
        plan: The plan's name.
    """
    what = apart_by(plan)
    return input_names(manifest, what) if what else group_or_speaker(manifest)


def groups_are_speakers(manifest: Manifest) -> bool:
    """Say whether the groups are the speakers under another name, so that they say nothing more.

    >>> columns = {"id": ["a", "b"], "text": ["x", "y"], "speaker": ["1", "2"]}
    >>> groups_are_speakers(Manifest.from_columns("mine", columns | {"group": ["one", "two"]}))
    True
    """
    import pandas as pd

    groups, speakers = manifest.named_cells("group"), manifest.named_cells("speaker")
    if (groups == "").any() or (speakers == "").any():
        return False
    return bool((pd.factorize(groups)[0] == pd.factorize(speakers)[0]).all())
