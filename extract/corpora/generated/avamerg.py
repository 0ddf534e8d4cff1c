"""AvaMERG: ten conversations of two turns, eight with labels for training and two without for test, with voices and faces."""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import json
from typing import Any

from extract.corpora._notes import HIDDEN, NO_AUDIO, NO_VIDEO, UNMAPPED
from extract.corpora.avamerg import EMOTIONS, FOLDERS, PROFILE, SUFFIXES, emotion_table
from extract.corpora.generated import FAILS, Defect, Studio

# What annotators wrote, one per class and one that means another word that means another.
WRITTEN = (
    "joyful",
    "impressed",
    "annoyed",
    "Terrified",
    "devastated",
    "disgusted",
    "jealous",
    "overwhelmed",
)
TRAIN, TEST = 8, 2
# The conversation that defects go into, so that every class stays in every fold.
SPOILT = 20
TURNS = 2


def write(studio: Studio) -> None:
    """Write the conversations.

    Each has a speaker and a listener, whose media are named by their profile's ID.
    """
    studio.text(
        "train.json",
        _json([_conversation(studio, number, labelled=True) for number in range(TRAIN)]),
    )
    studio.text(
        "test.json",
        _json([_conversation(studio, TRAIN + number, labelled=False) for number in range(TEST)]),
    )


def _json(conversations: list[dict[str, Any]]) -> str:
    return json.dumps(conversations, indent=1, ensure_ascii=False) + "\n"


def _profile(number: int) -> dict[str, object]:
    return {field: values[number % len(values)] for field, values in PROFILE.items()} | {
        "ID": number
    }


def _emotion(number: int, turn: int) -> str:
    return WRITTEN[(number + 4 * turn) % len(WRITTEN)]


def _conversation(studio: Studio, number: int, *, labelled: bool) -> dict[str, Any]:
    speaker, listener = _profile(number % 3), _profile(10 + number % 2)
    dialogue: list[dict[str, object]] = []
    turns = []
    meaning = emotion_table(EMOTIONS)
    for turn in range(TURNS):
        emotion = _emotion(number, turn)
        dialogue.append(
            {
                "index": len(dialogue),
                "role": "speaker",
                "utterance": f"Something happened on day {number}, part {turn}.",
            }
        )
        response = {
            "index": len(dialogue),
            "role": "listener",
            "utterance": f"Tell me more about day {number}.",
        }
        for line, profile in ((dialogue[-1], speaker), (response, listener)):
            stem = f"dia{number:05d}utt{line['index']}_{profile['ID']}"
            studio.sound(f"audio_v5_0/{stem}.wav", meaning[emotion.lower()], 1 + number)
            studio.film(f"video_v5_0/{stem}.mp4", meaning[emotion.lower()], 1 + number)
        chain = {
            "speaker_emotion": emotion,
            "event_scenario": f"Day {number}.",
            "emotion_cause": "What happened.",
            "goal_to_response": "To listen.",
        }
        turns.append(
            {
                "turn_id": turn,
                "context": f"Day {number}.",
                "dialogue_history": list(dialogue),
                "response": response["utterance"],
                **({"chain_of_empathy": chain} if labelled else {}),
            }
        )
        dialogue.append(response)
    return {
        "conversation_id": f"{number:05d}",
        "speaker_profile": speaker,
        "listener_profile": listener,
        "topic": "days",
        "turns": turns,
    }


def _spoilt(studio: Studio) -> list[dict[str, Any]]:
    """Return the training conversations with one more at their end, added for the first defect."""
    conversations: list[dict[str, Any]] = json.loads(
        (studio.root / "train.json").read_text(encoding="utf-8")
    )
    if len(conversations) == TRAIN:
        conversations.append(_conversation(studio, SPOILT, labelled=True))
        studio.text("train.json", _json(conversations))
    return conversations


def _unmapped(studio: Studio) -> str:
    conversations = _spoilt(studio)
    conversations[-1]["turns"][1]["chain_of_empathy"]["speaker_emotion"] = "somehow mixed"
    studio.text("train.json", _json(conversations))
    return "somehow mixed"


def _medium(studio: Studio, modality: str, turn: int) -> str:
    """Return the file of what the speaker says in a turn of the spoilt conversation."""
    profile = _spoilt(studio)[-1]["speaker_profile"]["ID"]
    return f"{FOLDERS[modality]}/dia{SPOILT:05d}utt{2 * turn}_{profile}{SUFFIXES[modality]}"


def _lost(studio: Studio, modality: str, turn: int) -> str:
    studio.remove(_medium(studio, modality, turn))
    return f"train_dia{SPOILT:05d}_turn{turn}"


DEFECTS = (
    Defect(
        "AppleDouble twin of a voice",
        HIDDEN,
        lambda studio: studio.apple_double("audio_v5_0/dia00000utt0_0.wav"),
    ),
    Defect("label that the table does not know", UNMAPPED, _unmapped),
    Defect("voice missing", NO_AUDIO, lambda studio: _lost(studio, "audio", 0)),
    Defect("film missing", NO_VIDEO, lambda studio: _lost(studio, "video", 1)),
    Defect("voice cut short", FAILS, lambda studio: studio.cut(_medium(studio, "audio", 1))),
    Defect("film cut short", FAILS, lambda studio: studio.cut(_medium(studio, "video", 0))),
)
