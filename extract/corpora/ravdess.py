"""RAVDESS: 24 actors speak two sentences in eight emotions (Actor_NN/03-01-05-01-02-01-18.wav).

Copies in other folders are read too. A file name says everything: modality (01 audio-video, 02
video, 03 audio), channel (01 speech, 02 song), emotion, intensity, statement, repetition, actor.
Livingstone and Russo 2018, https://doi.org/10.5281/zenodo.1188976
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, unknown_name
from extract.corpora._clips import ClipRelease
from extract.corpora._files import as_columns, media, relative, speaker_folds, visible
from extract.corpora._notes import NO_AUDIO, NO_VIDEO, ODD_NAME, Documented, Notes

LAYOUT = "Actor_NN/03-01-05-01-02-01-18.wav (or .flac, .mp4)"
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SUNG = EMOTIONS[:6]
STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")
INTENSITIES = ("normal", "strong")
CHANNELS = {"speech": ("01",), "song": ("02",), "both": ("01", "02")}
MODALITIES = {"all": ("01", "02", "03"), "audio-video": ("01",), "video": ("02",), "audio": ("03",)}
SAMPLE_RATE_HZ = 48_000
CLIPS_PER_ACTOR = {"speech": 60, "song": 44, "both": 104}
ACTORS = 24
# Every emotion is spoken twice in two sentences and two intensities by each actor, neutral in one;
# actor 18 does not sing.
SINGERS = ACTORS - 1
DOCUMENTED = (
    *(
        Documented(rows, options={"channel": channel})
        for channel, rows in (("speech", 1440), ("song", 1012), ("both", 2452))
    ),
    Documented(ACTORS, distinct="speaker", options={"channel": ("speech", "both")}),
    Documented(SINGERS, distinct="speaker", options={"channel": "song"}),
    *(
        Documented(
            ACTORS * (4 if label == "neutral" else 8),
            {"label": label},
            options={"channel": "speech"},
        )
        for label in EMOTIONS
    ),
    *(
        Documented(
            SINGERS * (4 if label == "neutral" else 8),
            {"label": label},
            options={"channel": "song"},
        )
        for label in SUNG
    ),
)
# Neutral is never strong and song lacks two emotions, so the one tells of the label and the other
# is part of the task.
TAGS = {
    "meta_channel": "context",
    "meta_intensity": "leaky",
    "meta_statement": "context",
    "meta_repetition": "safe",
    "meta_gender": "safe",
}
SOUND, PICTURES = (".wav", ".flac"), (".mp4",)
ACTOR = re.compile(r"Actor_(\d\d)")
STEM = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)")


def read(root: Path, *, channel: str = "speech", modality: str = "all") -> Manifest:
    """Read the clips below ``root/Actor_NN``.

    A clip and its clips (``01-`` audio-video, ``02-`` video only, ``03-`` audio only, the rest of
    the name alike) are one row. Sound is the audio file, or where there is none the sound track of
    the ``01-`` video. The id is the stem of the audio file, or where there is none of the video.

    Args:
        root: The folder with ``Actor_01`` and so on, or a copy in other folders; fewer than 24
            actors are fine and noted.
        channel: ``speech``, ``song`` (six emotions, none by actor 18) or ``both``.
        modality: Which files to take: ``audio`` (03), ``video`` (02, silent), ``audio-video`` (01,
            whose sound is then its own track) or ``all``, where the sound is the video's audio
            twin.

    Raises:
        UnknownNameError: ``channel`` or ``modality`` is none of these.
        ManifestError: No clip is there, or none of this channel.
    """
    if channel not in CHANNELS:
        unknown_name("RAVDESS channel", channel, tuple(CHANNELS))
    if modality not in MODALITIES:
        unknown_name("RAVDESS modality", modality, tuple(MODALITIES))
    notes = Notes()
    clips = _collect(root, CHANNELS[channel], MODALITIES[modality], notes)
    if not clips:
        what = channel if modality == "all" else f"{channel} {modality}"
        raise ManifestError(
            f"{root}: no {what} clip; RAVDESS is expected as {LAYOUT}. {' '.join(notes.lines())}"
        )
    rows = [_row(clips[key], root, notes) for key in sorted(clips, key=lambda key: (key[-2:], key))]
    actors = sorted({row["speaker"] for row in rows})
    _count(rows, actors, channel, notes)
    labels = LabelSet(f"ravdess-{channel}", SUNG if channel == "song" else EMOTIONS)
    return Manifest.from_columns(
        "ravdess",
        as_columns(rows),
        labels=labels,
        protocol=speaker_folds(len(actors), 6),
        root=root.resolve(),
        notes=notes.lines(),
        tags=TAGS,
    )


def _has_actors(folder: Path) -> bool:
    return any(ACTOR.fullmatch(path.name) and path.is_dir() for path in visible(folder))


def _label(path: Path) -> str:
    match = STEM.fullmatch(path.stem)
    if match is None or path.suffix.lower() not in (SOUND if match[1] == "03" else PICTURES):
        return ""
    return EMOTIONS[int(match[3]) - 1]


def _collect(
    root: Path, channels: tuple[str, ...], modalities: tuple[str, ...], notes: Notes
) -> dict[str, dict[str, Path]]:
    """Return the files of each clip by modality field; the key is the stem after that field."""
    clips: dict[str, dict[str, Path]] = defaultdict(dict)
    found = ClipRelease("RAVDESS", LAYOUT, _label, _has_actors).find(root, notes)
    for path in found.odd:
        notes.count(ODD_NAME, relative(path, root))
    for path in found.clips:
        modality, channel, *_, actor = path.stem.split("-")
        folder = ACTOR.fullmatch(path.parent.name)
        if folder and folder[1] != actor:
            notes.count("clip in another actor's folder skipped", relative(path, root))
        elif channel not in channels:
            notes.count("clip of the other channel left out", relative(path, root))
        elif modality not in modalities:
            notes.count("file of another modality left out", relative(path, root))
        elif modality in clips[path.stem[3:]]:
            notes.count("second file of a clip skipped", relative(path, root))
        else:
            clips[path.stem[3:]][modality] = path
    return {key: files for key, files in clips.items() if files}


def _row(files: dict[str, Path], root: Path, notes: Notes) -> dict[str, str]:
    video = files.get("01", files.get("02"))
    audio = files.get("03", files.get("01"))
    stem = (files.get("03") or video or Path()).stem
    sound = media(audio, root, notes)
    _, channel, emotion, intensity, statement, repetition, actor = stem.split("-")
    return {
        "id": stem,
        "label": EMOTIONS[int(emotion) - 1],
        "speaker": f"actor-{actor}",
        "group": f"actor-{actor}",
        "text": STATEMENTS[int(statement) - 1],
        "language": "en",
        "audio": sound,
        "video": sound if video is audio else media(video, root, notes),
        "meta_channel": "song" if channel == "02" else "speech",
        "meta_intensity": INTENSITIES[int(intensity) - 1],
        "meta_statement": statement,
        "meta_repetition": repetition,
        "meta_gender": "male" if int(actor) % 2 else "female",
    }


def _count(rows: list[dict[str, str]], actors: list[str], channel: str, notes: Notes) -> None:
    per_actor, full = CLIPS_PER_ACTOR[channel], CLIPS_PER_ACTOR[channel] * ACTORS
    if channel != "speech":
        full -= CLIPS_PER_ACTOR["song"]
    notes.say(
        f"{len(actors)} of {ACTORS} actors "
        f"({', '.join(a.removeprefix('actor-') for a in actors)}), {len(rows):,} of {full:,} "
        f"{channel} clips"
    )
    for actor in actors:
        there = sum(row["speaker"] == actor for row in rows)
        wanted = per_actor - (
            CLIPS_PER_ACTOR["song"] if actor == "actor-18" and channel != "speech" else 0
        )
        if there != wanted:
            notes.say(f"{actor} has {there} clips, the release has {wanted}")
    for medium, kind in (("audio", NO_AUDIO), ("video", NO_VIDEO)):
        absent = [row["id"] for row in rows if not row[medium]]
        if 0 < len(absent) < len(rows):
            notes.say(
                f"{len(absent)} of {len(rows)} clips have no {medium}", kind, len(absent), absent
            )
