"""AvaMERG: empathetic conversations with generated voices and talking faces, seven classes (train.json, audio_v5_0, video_v5_0).

One row is one turn: what the speaker said last, before the listener answers, with the emotion of
the speaker. Raw labels are the 32 emotions of EmpatheticDialogues and whatever else annotators
wrote; ``avamerg_emotions.csv`` says what each one means, and the label set keeps both. Zhang et al.
2025, https://avamerg.github.io
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, unknown_name
from embeddings_store.reading import read_json, reading
from embeddings_store.tables import read_csv
from extract.corpora._files import as_columns, check_root, media, relative, visible
from extract.corpora._notes import NO_AUDIO, NO_VIDEO, UNMAPPED, Notes

Available = Mapping[str, Mapping[str, Path] | None]

LAYOUT = (
    "train.json (and valid.json, test.json), with audio_v5_0/dia00001utt0_28.wav and "
    "video_v5_0/dia00001utt0_28.mp4 beside"
)
CLASSES = ("happy", "surprised", "angry", "fear", "sad", "disgusted", "contempt")
EMOTIONS = Path(__file__).with_name("avamerg_emotions.csv")
SPLITS = {"train": "train", "val": "valid", "dev": "valid", "test": "test"}
FOLDERS = {"audio": "audio_v5_0", "video": "video_v5_0"}
SUFFIXES = {"audio": ".wav", "video": ".mp4"}
NEEDS = (
    "it needs conversation_id, speaker_profile, listener_profile and turns with turn_id, "
    "dialogue_history and response"
)
UTTERANCES = ("speaker", "response")
GROUPS = ("conversation", "profile")
PROFILE = {
    "age": ("child", "young", "middle-aged", "elderly"),
    "gender": ("female", "male"),
    "timbre": ("high", "mid", "low"),
}
# What explains the gold label, and what was written by somebody who knew it.
CHAIN = ("event_scenario", "emotion_cause", "goal_to_response")
TAGS = {
    **{f"meta_speaker_{field}": "safe" for field in (*PROFILE, "id")},
    **{f"meta_listener_{field}": "safe" for field in (*PROFILE, "id")},
    **dict.fromkeys(("meta_topic", "meta_context", "meta_history", "meta_turn"), "context"),
    **{f"meta_{field}": "leaky" for field in (*CHAIN, "response")},
}


def read(
    root: Path, *, utterance: str = "speaker", group: str = "conversation", emotions: str = ""
) -> Manifest:
    """Read every conversation file and find the media of each turn.

    Args:
        root: The folder of the JSON files, or the one that holds ``audio_v5_0`` with the JSON files
            inside.
        utterance: ``speaker``, what the speaker said last; or ``response``, what the listener
            answers. An answer was written for the gold label, so with ``speaker`` it is leaky
            metadata.
        group: What folds keep together: the ``conversation``, or the ``profile`` of who talks.
            Profiles, that is voices and faces, are shared across the official splits.
        emotions: A CSV with the columns ``raw`` and ``means`` instead of ``avamerg_emotions.csv``.
            A word may mean another word of the table, which is followed to one of the seven
            classes.

    Raises:
        UnknownNameError: No such utterance or group.
        ManifestError: No conversation file is there, one is not as expected, or the table of
            emotions goes in a circle.
    """
    if utterance not in UTTERANCES:
        unknown_name("AvaMERG utterance", utterance, UTTERANCES)
    if group not in GROUPS:
        unknown_name("AvaMERG group", group, GROUPS)
    check_root(root, "AvaMERG", LAYOUT, lambda folder: bool(_conversation_files(folder)))
    notes = Notes()
    meaning = emotion_table(Path(emotions).expanduser() if emotions else EMOTIONS)
    available = {modality: _media_files(root, modality, notes) for modality in FOLDERS}
    rows: list[dict[str, object]] = []
    for path, split in _conversation_files(root):
        for conversation in _conversations(path):
            rows += _turns(conversation, split, utterance, path, notes)
    if not rows:
        raise ManifestError(f"{root}: the conversation files hold no turn")
    for row in rows:
        if group == "profile" and row["speaker"]:
            row["group"] = row["speaker"]
        _attach(row, available, root, notes)
    _note_counts(rows, available, meaning, notes)
    unmapped = frozenset(str(row["label"]) for row in rows if row["label"]) - meaning.keys()
    labelled = {row["group"] for row in rows if row["label"]}
    columns = as_columns(rows)
    del columns["stem"]
    return Manifest.from_columns(
        "avamerg",
        columns,
        labels=LabelSet("avamerg-7", CLASSES, meaning, unmapped),
        protocol="group-kfold:5" if len(labelled) >= 5 else "",
        root=root.resolve(),
        notes=notes.lines(),
        tags=TAGS,
    )


def emotion_table(path: Path) -> dict[str, str]:
    """Return the class that each raw word means, following words that mean other words.

    A class means itself.

    >>> table = emotion_table(EMOTIONS)
    >>> table["overwhelmed"], table["sad"]
    ('fear', 'sad')

    Raises:
        ManifestError: The file is no such table, or a word leads to no class or back to itself.
    """
    table = read_csv(path)
    if not {"raw", "means"} <= set(table.columns):
        raise ManifestError(
            f"{path}: needs the columns raw and means; has {', '.join(map(str, table.columns))}"
        )
    direct = dict(zip(map(_word, table["raw"]), map(_word, table["means"]), strict=True))
    twice = [word for word, count in table["raw"].map(_word).value_counts().items() if count > 1]
    if twice:
        raise ManifestError(f"{path}: {twice[0]!r} stands in several rows; keep one")
    found = {name: name for name in CLASSES}
    for word in direct:
        chain = [word]
        while chain[-1] not in CLASSES:
            if chain[-1] not in direct:
                raise ManifestError(
                    f"{path}: {' means '.join(chain)}, which is none of {', '.join(CLASSES)}; add "
                    "a row for it"
                )
            chain.append(direct[chain[-1]])
            if chain[-1] in chain[:-1]:
                raise ManifestError(
                    f"{path}: {' means '.join(chain)}, in a circle; let one of them mean one of "
                    f"{', '.join(CLASSES)}"
                )
        found[word] = chain[-1]
    return found


def _word(raw: object) -> str:
    """Return a label as it stands in the table: lower case, one space, no full stop.

    >>> _word(" Heavy-Hearted. ")
    'heavy-hearted'
    """
    return " ".join(str(raw).lower().split()).rstrip(".")


def _conversation_files(root: Path) -> list[tuple[Path, str]]:
    """Return every conversation file with its split, which the file's name begins with."""
    found = []
    for folder in (root, *(root / name for name in FOLDERS.values())):
        if not folder.is_dir():
            continue
        for path in visible(folder):
            for start, split in SPLITS.items():
                if path.suffix == ".json" and path.stem.lower().startswith(start):
                    found.append((path, split))
    return found


def _conversations(path: Path) -> Iterator[Mapping[str, Any]]:
    data = read_json(path, "JSON in UTF-8", "fetch it again")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ManifestError(
            f"{path}: a list of conversations is expected, each an object with conversation_id "
            "and turns"
        )
    yield from data


def _turns(
    conversation: Mapping[str, Any], split: str, utterance: str, path: Path, notes: Notes
) -> Iterator[dict[str, object]]:
    which = f"conversation {conversation.get('conversation_id', 'without an id')!r}"
    with reading(path, "", NEEDS, fault=f"{which} is not as expected"):
        talk = _Conversation(
            split,
            int(conversation["conversation_id"]),
            {role: dict(conversation[f"{role}_profile"]) for role in ("speaker", "listener")},
            str(conversation.get("topic") or ""),
        )
        for turn in conversation["turns"]:
            yield _turn(turn, talk, utterance, notes)


@dataclass(frozen=True)
class _Conversation:
    """What the turns of one conversation share."""

    split: str
    number: int
    profiles: Mapping[str, Mapping[str, Any]]
    topic: str

    @property
    def name(self) -> str:
        return f"{self.split}_dia{self.number:05d}"


@dataclass(frozen=True)
class _Utterance:
    """Which utterance of a turn is the row: who says what, as which of the dialogue, after what."""

    role: str
    text: str
    index: int
    before: Sequence[Mapping[str, Any]]


def _utterance_of(turn: Mapping[str, Any], utterance: str) -> _Utterance:
    """Return the listener's response, or what the speaker said last, empty where he never talks."""
    history = sorted(turn["dialogue_history"], key=lambda entry: int(entry["index"]))
    if utterance == "response":
        after = int(history[-1]["index"]) + 1 if history else 0
        return _Utterance("listener", str(turn.get("response") or ""), after, history)
    for position in reversed(range(len(history))):
        entry = history[position]
        if entry["role"].lower() == "speaker":
            text, index = str(entry["utterance"]), int(entry["index"])
            return _Utterance("speaker", text, index, history[:position])
    return _Utterance("speaker", "", 0, ())


def _turn(
    turn: Mapping[str, Any], talk: _Conversation, utterance: str, notes: Notes
) -> dict[str, object]:
    spoken = _utterance_of(turn, utterance)
    response, chain = str(turn.get("response") or ""), turn.get("chain_of_empathy") or {}
    row = f"{talk.name}_turn{turn['turn_id']}"
    label = _word(chain.get("speaker_emotion") or "")
    if not label:
        notes.count(f"turn without a label in the {talk.split} file", row)
    profile = talk.profiles[spoken.role].get("ID")
    return {
        "id": row,
        "label": label,
        "speaker": f"profile-{profile}" if profile is not None else "",
        "group": talk.name,
        "split": talk.split,
        "language": "en",
        "text": spoken.text.strip(),
        "stem": f"dia{talk.number:05d}utt{spoken.index}_{profile}",
        "audio": "",
        "video": "",
        **_profiles(talk.profiles, row, notes),
        "meta_topic": talk.topic,
        "meta_context": str(turn.get("context") or ""),
        "meta_history": _transcript(spoken.before),
        "meta_turn": str(turn["turn_id"]),
        **{f"meta_{field}": str(chain.get(field) or "") for field in CHAIN},
        "meta_response": "" if utterance == "response" else response,
    }


def _profiles(profiles: Mapping[str, Mapping[str, Any]], row: str, notes: Notes) -> dict[str, str]:
    found = {}
    for role, profile in profiles.items():
        for field, known in PROFILE.items():
            value = str(profile.get(field) or "").strip().lower()
            if value not in known:
                notes.count(f"profile with an unknown {field}", f"{row}: {value!r}")
            found[f"meta_{role}_{field}"] = value
        found[f"meta_{role}_id"] = str(profile.get("ID", ""))
    return found


def _transcript(history: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{entry['role']}: {str(entry['utterance']).strip()}" for entry in history]
    return "\n".join(lines)


def _media_files(root: Path, modality: str, notes: Notes) -> dict[str, Path] | None:
    """Return the files of one modality by stem.

    None where its folder is not there, which is not the same as an empty one.
    """
    places = (root / FOLDERS[modality], *sorted(root.glob(f"*/{FOLDERS[modality]}")))
    folders = [path for path in places if path.is_dir()]
    if not folders:
        notes.say(f"no folder {FOLDERS[modality]}: no turn has {modality}")
        return None
    found: dict[str, Path] = {}
    for folder in folders:
        for path in visible(folder, notes):
            if path.suffix.lower() == SUFFIXES[modality]:
                found[path.stem] = path
            elif path.suffix != ".json":
                notes.count("odd media name skipped", relative(path, root))
    return found


def _attach(row: dict[str, object], available: Available, root: Path, notes: Notes) -> None:
    stem = str(row["stem"])
    for modality, kind in (("audio", NO_AUDIO), ("video", NO_VIDEO)):
        files = available[modality]
        if files is not None:
            row[modality] = media(files.get(stem), root, notes)
            if stem not in files:
                notes.count(kind, str(row["id"]))


def _note_counts(
    rows: Sequence[Mapping[str, object]],
    available: Available,
    meaning: Mapping[str, str],
    notes: Notes,
) -> None:
    for row in rows:
        if row["label"] and row["label"] not in meaning:
            notes.count(UNMAPPED, str(row["label"]))
    conversations = {str(row["id"]).rpartition("_turn")[0] for row in rows}
    labelled = sum(bool(row["label"]) for row in rows)
    notes.say(
        f"{len(rows):,} turns of {len(conversations):,} conversations, {labelled:,} with a label"
    )
    training = {row["speaker"] for row in rows if row["split"] == "train"}
    tested = {row["speaker"] for row in rows if row["split"] == "test"}
    if shared := training & tested - {""}:
        notes.say(
            f"{len(shared)} profiles of the official test split also talk in its training split; "
            "group=profile keeps a profile in one role"
        )
    used = {row["stem"] for row in rows}
    for modality, files in available.items():
        spare = sorted((files or {}).keys() - used)
        if spare:
            notes.say(
                f"{len(spare):,} {modality} files belong to no row (the other side of the "
                "conversation)",
                f"{modality} file that belongs to no row",
                len(spare),
                spare,
            )
