"""What the columns of a manifest are called, what people call them, and how they are renamed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from embeddings_store.errors import ManifestError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MEDIA = ("text", "audio", "video")
STRINGS = ("id", "label", "speaker", "group", "session", "split", "language", *MEDIA)
TIMES = ("start_s", "end_s")
KNOWN = STRINGS + TIMES
# What published tables call the columns of a manifest, in lower case, words joined by "_".
ALIASES = {
    "id": "name utterance_id utt_id utt uid key segment_id clip_id sample_id",
    "label": "emotion emotions class target category emotion_label labels y sentiment",
    "speaker": "speaker_id speakerid spk spk_id actor actor_id subject subject_id participant",
    "group": "dialogue dialogue_id dialog dialog_id conversation conversation_id video_id",
    "session": "session_id ses",
    "split": "set subset partition usage",
    "language": "lang locale",
    "text": "transcript transcription utterance sentence words asr",
    "audio": "file filename file_name filepath file_path path wav wav_path wav_file audio_path "
    "audio_file audio_filepath sound",
    "video": "video_path video_file video_filepath film clip mp4",
    "start_s": "start start_time starttime begin begin_time onset start_sec",
    "end_s": "end end_time endtime stop stop_time end_sec",
}
MEANT = {alias: column for column, aliases in ALIASES.items() for alias in aliases.split()}
SHOWN = 12
# Old name and new name; one old name may get several new ones.
Renames = tuple[tuple[str, str], ...]


def check_names(names: Sequence[str]) -> None:
    """Check that the names are those of a manifest's columns, ``id`` among them.

    Raises:
        ManifestError: All names that are none, what each may be, and how to say so.
    """
    strange = [name for name in names if not _is_known(name)]
    if not strange:
        check_id_column(names)
        return
    proposed = proposals(names)
    listed = []
    for name in strange[:SHOWN]:
        meant = [new for old, new in proposed if old == name and _is_known(new)]
        kept = meant == [f"meta_{name}"]
        listed.append(repr(name) if kept else f"{name!r} ({' and '.join(meant)}?)")
    more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
    raise ManifestError(
        f"unknown column{'s' * (len(strange) > 1)} {', '.join(listed)}{more}; say what they are "
        f"with --columns {columns_option(proposed)}, or rename them in the table (columns are "
        f"{', '.join(KNOWN)}, vote_* and meta_*)"
        + ("; vectors come in with embeddings-store import" if more else "")
    )


def check_id_column(names: Sequence[str]) -> None:
    """Check that there is a column ``id``.

    Raises:
        ManifestError: There is none.
    """
    if "id" in names:
        return
    media = [name for name in names if name in ("audio", "video")]
    hint = f"; --columns {media[0]}={media[0]},{media[0]}=id takes its paths" if media else ""
    raise ManifestError(
        f"a manifest needs a column 'id'; got {', '.join(names) or 'no columns'}{hint}"
    )


def _is_known(name: str) -> bool:
    return name in KNOWN or name.startswith(("meta_", "vote_"))


def proposals(names: Sequence[str]) -> Renames:
    """Return a new name for each column that is none of a manifest's, and for a missing ``id``.

    What nothing is known of becomes metadata, and so does a second column for the same name.

    >>> proposals(["file", "Emotion", "age"])
    (('file', 'audio'), ('file', 'id'), ('Emotion', 'label'), ('age', 'meta_age'))
    """
    taken = {name for name in names if _is_known(name)}
    found: list[tuple[str, str]] = []
    for name in names:
        if _is_known(name):
            continue
        new = _meaning(name)
        if not new or new in taken:
            new = f"meta_{name}"
        taken.add(new)
        found.append((name, new))
    if "id" not in taken:
        for place, (old, new) in enumerate(found):
            if new in ("audio", "video"):
                found.insert(place + 1, (old, "id"))
                break
    return tuple(found)


def _meaning(name: str) -> str:
    """Return the column that people mean by a name, empty if nobody knows."""
    plain = "_".join(name.strip().lower().replace("-", " ").split())
    if plain in KNOWN:
        return plain
    near = difflib.get_close_matches(plain, KNOWN, n=1)
    return MEANT.get(plain) or (near[0] if near else "")


def likely_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence about the columns that are kept as metadata and may be meant as others.

    >>> likely_columns(["id", "emotion", "age"])
    ("column 'emotion' is kept as meta_emotion; --columns emotion=label makes it the label",)
    """
    sentences = []
    for old, new in proposals(names):
        if MEANT.get(old.lower()) == new:
            sentences.append(
                f"column {old!r} is kept as meta_{old}; --columns {old}={new} makes it the {new}"
            )
    return tuple(sentences)


def columns_option(columns: Renames) -> str:
    """Return what ``--columns`` takes for them.

    Of many, only those that are more than metadata.

    >>> columns_option((("file", "audio"), ("emotion", "label")))
    'file=audio,emotion=label'
    """
    named = [(old, new) for old, new in columns if new in KNOWN]
    if len(columns) > SHOWN + 1 and 0 < len(named) <= SHOWN:
        columns = tuple(named)
    shown = ",".join(f"{old}={new}" for old, new in columns[: SHOWN + 1])
    return f"{shown},..." if len(columns) > SHOWN + 1 else shown


def parse_columns(text: str) -> Renames:
    """Return old and new names from ``OLD=NEW,OLD=NEW``.

    >>> parse_columns("file=audio, file=id, emotion=label")
    (('file', 'audio'), ('file', 'id'), ('emotion', 'label'))

    Raises:
        UsageError: A part is no ``OLD=NEW``, or a manifest has no column NEW.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        old, equals, new = part.rpartition("=")
        if not (equals and old and new):
            raise UsageError(f"--columns {part!r}: write OLD=NEW, such as emotion=label")
        if not _is_known(new):
            raise UsageError(
                f"--columns {part}: a manifest has no column {new!r}{did_you_mean(new, KNOWN)} "
                f"(columns are {', '.join(KNOWN)} and meta_*)"
            )
        found.append((old, new))
    return tuple(found)


def rename(table: pd.DataFrame, columns: Renames) -> pd.DataFrame:
    """Return a table whose columns have other names; a column with two new names is there twice.

    Raises:
        UsageError: A column is not there, or two would have one name.
    """
    if not columns:
        return table
    there = [str(name) for name in table.columns]
    renamed = {old for old, _ in columns}
    for old in sorted(renamed - set(there)):
        raise UsageError(
            f"--columns: there is no column {old!r}{did_you_mean(old, there)} (there are "
            f"{', '.join(there[:SHOWN])}{', ...' if len(there) > SHOWN else ''})"
        )
    origins: dict[str, str] = {}
    for old, new in [(name, name) for name in there if name not in renamed] + list(columns):
        if new in origins:
            raise UsageError(
                f"--columns: both {origins[new]!r} and {old!r} would be the column {new!r}; keep "
                f"one of them as metadata, with {origins[new]}=meta_{origins[new]}"
            )
        origins[new] = old
    place = {name: number for number, name in enumerate(there)}
    chosen = table.iloc[:, [place[old] for old in origins.values()]]
    return chosen.set_axis(list(origins), axis=1)


def head_view(column: str) -> str:
    """Return the modality of the scores that a checkpoint's own head gives for a column's inputs.

    >>> head_view("audio"), read_from("audio_head"), read_from("audio")
    ('audio_head', 'audio', 'audio')
    """
    return f"{column}{_HEAD}"


def read_from(modality: str) -> str:
    """Return what the inputs of a modality are: those of a head's scores are its encoder's."""
    return modality.removesuffix(_HEAD)


_HEAD = "_head"
