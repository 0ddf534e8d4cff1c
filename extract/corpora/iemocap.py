"""IEMOCAP: ten actors in 151 acted dialogues, labelled turn by turn, with speech, transcripts and split-screen video.

Busso et al. 2008, https://sail.usc.edu/iemocap. Read are the label files (``dialog/EmoEvaluation``)
and the transcriptions, joined by id; no media is opened. The release's table of counts is
``_iemocap_counts.py``.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from embeddings_store.corpus.label_sets import TABLE as NAMED
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, unknown_name
from extract.corpora._files import (
    as_columns,
    folder_names,
    read_lines,
    relative,
    visible,
    wrong_root,
)
from extract.corpora._iemocap_counts import documented
from extract.corpora._notes import DIFFERS, NO_AUDIO, NO_VIDEO, SUMMARY, Note, Notes, differences

LAYOUT = "IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and so on"
RAW_LABELS = ("ang", "hap", "exc", "neu", "sad", "fru", "sur", "fea", "dis", "oth", "xxx")
LABEL_SETS = {
    row.name: row.labels
    for row in NAMED
    if row.applies_to("iemocap") and row.labels and not row.kind
}
TAGS = {
    "meta_video_start_s": "safe",
    "meta_video_end_s": "safe",
    "meta_video_side": "safe",
    "meta_gender": "safe",
    "meta_kind": "context",
    "meta_valence": "leaky",
    "meta_arousal": "leaky",
    "meta_dominance": "leaky",
}
SAMPLE_RATE_HZ = 16_000
DOCUMENTED = documented(LABEL_SETS)
DROPPED = "turn that the label set drops"
KINDS = ("all", "improvised", "scripted")

SESSION = re.compile(r"Session(\d)")
DIALOGUE = re.compile(r"Ses(\d{2})([FM])_(impro|script)(\d{2})([a-z]|_\d[a-z]?)?")
UTTERANCE = re.compile(DIALOGUE.pattern + r"_([FM])\d{3}")
NUMBER = r"(-?\d+(?:\.\d+)?)"
LABEL_LINE = re.compile(
    rf"\[{NUMBER} - {NUMBER}\]\t(\S+)\t(\w+)\t\[{NUMBER}, {NUMBER}, {NUMBER}\]\s*"
)
SPOKEN_LINE = re.compile(r"(\S+) \[[\d.]+-[\d.]+\]: ?(.*)")
TAG = re.compile(r"\[[A-Z][A-Z_ ]*\]|\+\+[A-Z]+\+\+|--[A-Z]+--")


@dataclass(frozen=True, slots=True)
class IemocapTurn:
    """One labelled line of a dialogue's evaluation file.

    Attributes:
        id: The utterance's.
        label: The raters' consensus, as the release writes it.
        start_s: Where it starts, in seconds of the dialogue.
        end_s: Where it ends.
        valence: Mean rating, from 1 (negative) to 5 (positive).
        arousal: From 1 (calm) to 5 (excited).
        dominance: From 1 (weak) to 5 (strong).
    """

    id: str
    label: str
    start_s: float
    end_s: float
    valence: float
    arousal: float
    dominance: float

    @property
    def side(self) -> str:
        """The speaker's half of the picture: the actor who wears the markers sits on the left.

        >>> IemocapTurn("Ses01F_impro01_M003", "neu", 0, 1, 3, 3, 3).side
        'right'
        """
        return "left" if self.id[5] == self.id[-4] else "right"


def read(
    root: Path,
    *,
    label_set: str = "iemocap-4",
    kind: str = "all",
    keep_tags: bool = False,
    all_turns: bool = False,
) -> Manifest:
    """Read the full release, and note where its counts differ from the published ones.

    Every row has the raw label; the label set maps it. ``audio`` is the turn's own wav, a whole
    file, so ``start_s`` and ``end_s`` are not given. ``video`` is the whole dialogue with both
    actors: ``meta_video_start_s`` and ``meta_video_end_s`` are the turn's span of it in seconds,
    and ``meta_video_side`` (left or right) the speaker's half. Speaker is session + **talking**
    letter (``Ses01_F``): the first letter of an id names who wears the markers.

    Args:
        root: ``IEMOCAP_full_release``, or the folder that holds it.
        label_set: ``iemocap-4`` (excited counts as happy; 5,531 rows), ``iemocap-4-no-exc``
            (4,490), ``iemocap-6`` (7,380).
        kind: ``all``, ``improvised`` or ``scripted`` dialogues only.
        keep_tags: Keep ``[LAUGHTER]`` and its like in the text. Off by default: a tag is what an
            annotator heard, not a word, and no transcriber writes it when the model is used. A turn
            that is nothing but tags keeps them, since an empty text would be a missing modality;
            such turns are counted in the notes.
        all_turns: Also give the turns that the label set drops; they have no class, and no fold
            scores them.

    Raises:
        UnknownNameError: No such label set or kind.
        ManifestError: ``root`` does not hold the release, or a file breaks its format.
    """
    manifest = read_release(root, "iemocap", label_set, kind, keep_tags, all_turns)
    options = {"label_set": label_set, "kind": kind, "all_turns": all_turns}
    wanted = [count for count in DOCUMENTED if count.holds(options)]
    found = differences(manifest, wanted)
    if not found:
        return manifest
    line = f"{len(found)} of {len(wanted)} counts differ from the full release, first: {found[0]}"
    return replace(manifest, notes=(*manifest.notes, Note(line, DIFFERS, len(found), found)))


def read_release(
    root: Path, name: str, label_set: str, kind: str, keep_tags: bool, all_turns: bool
) -> Manifest:
    """Read any release in IEMOCAP's layout as corpus ``name``.

    See :func:`read`, which also checks the real one's counts.

    Args:
        root: The release's folder, or the one that holds it.
        name: The corpus' name in the store.
        label_set: As for :func:`read`, like all that follow.
        kind: Likewise.
        keep_tags: Likewise.
        all_turns: Likewise.

    Raises:
        UnknownNameError: No such label set or kind.
        ManifestError: ``root`` does not hold a release, a label is unknown, or no turn is left.
    """
    if label_set not in LABEL_SETS:
        unknown_name("IEMOCAP label set", label_set, tuple(LABEL_SETS))
    if kind not in KINDS:
        unknown_name("kind of dialogue", kind, KINDS)
    root, labels, notes = find_release(root), LABEL_SETS[label_set], Notes()
    folders = [path for path in visible(root, notes) if path.is_dir()]
    sessions = [path for path in folders if SESSION.fullmatch(path.name)]
    rows: list[dict[str, object]] = []
    for session in sessions:
        for row in _read_session(session, root, keep_tags, notes):
            if kind in ("all", row["meta_kind"]):
                rows.append(row)
    unknown = sorted({str(row["label"]) for row in rows} - set(RAW_LABELS))
    if unknown:
        raise ManifestError(
            f"{root}: unknown label {unknown[0]!r}; IEMOCAP has {', '.join(RAW_LABELS)}"
        )
    kept = [row for row in rows if all_turns or row["label"] in labels.mapping]
    if not kept:
        raise ManifestError(
            f"{root}: {len(rows)} {'' if kind == 'all' else kind + ' '}turns, none with a label of "
            f"{label_set!r}; check --root. {'; '.join(notes.lines())}"
        )
    _say_counts(rows, kept, sessions, labels, notes)
    if kind != "all":
        labels = replace(labels, name=f"{labels.name}-{kind}")
    protocol = "leave-one-session-out" if len(sessions) > 2 else ""
    return Manifest.from_columns(
        name,
        as_columns(kept),
        labels=labels,
        protocol=protocol,
        root=root,
        notes=notes.lines(),
        tags=TAGS,
    )


def find_release(root: Path) -> Path:
    """Return the release's folder: ``root``, or the only folder below it that is one.

    Raises:
        ManifestError: Neither is, or several are.
    """
    if root.is_dir():
        found = (
            [root]
            if _is_release(root)
            else [path for path in visible(root) if path.is_dir() and _is_release(path)]
        )
        if len(found) == 1:
            return found[0].resolve()
        if found:
            raise ManifestError(
                f"{root}: holds several releases ({', '.join(path.name for path in found)}); "
                "name one with --root"
            )
    raise wrong_root(root, "IEMOCAP", LAYOUT, _is_release)


def _is_release(folder: Path) -> bool:
    return any(
        SESSION.fullmatch(path.name) and (path / "dialog" / "EmoEvaluation").is_dir()
        for path in folder.iterdir()
    )


def _read_session(
    session: Path, root: Path, keep_tags: bool, notes: Notes
) -> Iterator[dict[str, object]]:
    evaluations = session / "dialog" / "EmoEvaluation"
    if not evaluations.is_dir():
        raise ManifestError(
            f"{evaluations}: no such folder; IEMOCAP is expected as {LAYOUT}. Unpack "
            f"{session.name} whole"
        )
    videos = folder_names(session / "dialog" / "avi" / "DivX")
    for path in visible(evaluations, notes):
        if path.suffix != ".txt":
            continue
        if DIALOGUE.fullmatch(path.stem) is None:
            notes.count("file that is not named after a dialogue skipped", relative(path, root))
            continue
        turns = list(_labels(path, notes))
        words = _transcript(
            session / "dialog" / "transcriptions" / path.name, {turn.id for turn in turns}, notes
        )
        wavs = session / "sentences" / "wav" / path.stem
        sounds, video = folder_names(wavs), f"{path.stem}.avi"
        for turn in turns:
            row = _row(turn, path.stem)
            row["text"] = _clean(turn.id, words.get(turn.id, ""), keep_tags, notes)
            row["audio"] = (
                relative(wavs / f"{turn.id}.wav", root) if f"{turn.id}.wav" in sounds else ""
            )
            row["video"] = (
                relative(session / "dialog" / "avi" / "DivX" / video, root)
                if video in videos
                else ""
            )
            yield row


def _row(turn: IemocapTurn, dialogue: str) -> dict[str, object]:
    session, talking = turn.id[:5], turn.id[-4]
    return {
        "id": turn.id,
        "label": turn.label,
        "speaker": f"{session}_{talking}",
        "group": dialogue,
        "session": session,
        "language": "en",
        "text": "",
        "audio": "",
        "video": "",
        "meta_video_start_s": turn.start_s,
        "meta_video_end_s": turn.end_s,
        "meta_video_side": turn.side,
        "meta_valence": turn.valence,
        "meta_arousal": turn.arousal,
        "meta_dominance": turn.dominance,
        "meta_kind": "improvised" if "_impro" in dialogue else "scripted",
        "meta_gender": "female" if talking == "F" else "male",
    }


def _labels(path: Path, notes: Notes) -> Iterator[IemocapTurn]:
    """Yield the consensus lines of an evaluation file.

    Rater lines, the header and empty lines are not among them.
    """
    for number, line in enumerate(read_lines(path, "latin-1", notes), start=1):
        if not line.startswith("["):
            continue
        match = LABEL_LINE.fullmatch(line)
        if match is None:
            raise ManifestError(
                f"{path}, line {number}: {line!r} is not '[start - "
                "end]<TAB>turn<TAB>label<TAB>[valence, arousal, dominance]'; restore the file from "
                "the release"
            )
        start, end, name, label, *ratings = match.groups()
        if UTTERANCE.fullmatch(name) is None or not name.startswith(f"{path.stem}_"):
            notes.count("labelled turn with an odd name skipped", name)
            continue
        valence, arousal, dominance = map(float, ratings)
        if not 0 <= float(start) < float(end):
            raise ManifestError(
                f"{path}, line {number}: turn {name!r} starts at {start} s and ends at {end} s"
            )
        yield IemocapTurn(name, label, float(start), float(end), valence, arousal, dominance)


def _transcript(path: Path, labelled: set[str], notes: Notes) -> dict[str, str]:
    """Return the words of each turn by its id.

    Lines without an id or without a label are counted.
    """
    if not path.is_file():
        notes.count("dialogue without a transcription", path.stem)
        return {}
    words: dict[str, str] = {}
    for line in read_lines(path, "latin-1", notes):
        match = SPOKEN_LINE.fullmatch(line.strip())
        if match is None:
            if line.strip():
                notes.count(
                    "transcription line without a turn skipped", f"{path.stem}: {line.strip()[:20]}"
                )
        elif match[1] not in labelled:
            notes.count("transcribed turn without a label skipped", match[1])
        elif match[1] in words:
            raise ManifestError(
                f"{path}: turn {match[1]!r} is transcribed twice; restore the file from the release"
            )
        else:
            words[match[1]] = match[2].strip()
    return words


def _clean(name: str, words: str, keep_tags: bool, notes: Notes) -> str:
    if not words:
        notes.count("labelled turn without words", name)
        return ""
    spoken = " ".join(TAG.sub(" ", words).split())
    if keep_tags or not spoken:
        if not keep_tags:
            notes.count("turn of nothing but tags, which are kept", name)
        return words
    return spoken


def _say_counts(
    rows: list[dict[str, object]],
    kept: list[dict[str, object]],
    sessions: list[Path],
    labels: LabelSet,
    notes: Notes,
) -> None:
    if len(sessions) != 5:
        notes.say(f"{len(sessions)} of 5 sessions: {', '.join(path.name for path in sessions)}")
    dropped = [str(row["label"]) for row in rows if row["label"] in labels.dropped]
    tally = ", ".join(f"{label} {dropped.count(label)}" for label in RAW_LABELS if label in dropped)
    unlabelled = [str(row["id"]) for row in rows if row["label"] in labels.dropped]
    notes.say(
        f"{len(rows) - len(dropped):,} of {len(rows):,} turns have a label of {labels.name!r}"
        + (f" (dropped: {tally})" if dropped else ""),
        DROPPED if dropped else SUMMARY,
        len(dropped) or 1,
        unlabelled,
    )
    for medium, kind in (("audio", NO_AUDIO), ("video", NO_VIDEO)):
        absent = [str(row["id"]) for row in kept if not row[medium]]
        if absent:
            notes.say(
                f"{len(absent):,} of {len(kept):,} turns have no {medium} file, first "
                f"{absent[0]!r}",
                kind,
                len(absent),
                absent,
            )
