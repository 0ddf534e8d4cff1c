"""IEMOCAP: two dialogues of four turns in each of the five sessions, with wavs, transcriptions and split-screen DivX films."""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

from extract.corpora._notes import HIDDEN, NO_AUDIO, NO_VIDEO
from extract.corpora.demo_release.design import CLASSES, FIDELITY, RAW_LABELS, DemoTurn, Dialogue
from extract.corpora.demo_release.writing import write_dialogue
from extract.corpora.generated import FAILS, Defect, Studio
from extract.corpora.iemocap import DROPPED

NAMES = (
    ("F_impro01", "M_script02_2b"),
    ("M_impro05a", "F_script01_1"),
    ("F_impro02", "M_script01_3"),
    ("M_impro01", "F_script03_2"),
    ("F_impro04", "M_impro07"),
)
TURNS, TURN_S, GAP_S = 4, 0.5, 0.15


def _dialogue_names() -> tuple[str, ...]:
    """Return the dialogues as the release names them: ``Ses01F_impro01`` and so on."""
    found: list[str] = []
    for session, names in enumerate(NAMES, start=1):
        found += [f"Ses{session:02d}{name}" for name in names]
    return tuple(found)


DIALOGUES = _dialogue_names()


def write(studio: Studio) -> None:
    """Write what the release has of each dialogue.

    Both talk in turn, and a transcription ends with a line nobody labelled.
    """
    for number, name in enumerate(DIALOGUES, start=1):
        write_dialogue(studio.root, _dialogue(name, number), [studio.seed, number], video=True)


def _dialogue(name: str, number: int) -> Dialogue:
    turns = []
    for position in range(TURNS):
        label = CLASSES[(position + number // 2) % len(CLASSES)]
        start = round(0.2 + position * (TURN_S + GAP_S), 4)
        turns.append(
            DemoTurn(
                f"{name}_{'FM'[position % 2]}{position // 2:03d}",
                RAW_LABELS[label][number % len(RAW_LABELS[label])],
                label,
                dict.fromkeys(FIDELITY, label),
                start,
                round(start + TURN_S, 4),
            )
        )
    return Dialogue(name, tuple(turns), turns[-1].end_s + 0.2)


def _session(dialogue: int) -> str:
    return f"Session{int(DIALOGUES[dialogue][3:5])}"


def _evaluation(dialogue: int) -> str:
    return f"{_session(dialogue)}/dialog/EmoEvaluation/{DIALOGUES[dialogue]}.txt"


def _words(dialogue: int) -> str:
    return f"{_session(dialogue)}/dialog/transcriptions/{DIALOGUES[dialogue]}.txt"


def _film(dialogue: int) -> str:
    return f"{_session(dialogue)}/dialog/avi/DivX/{DIALOGUES[dialogue]}.avi"


def _wav(dialogue: int, turn: str) -> str:
    return (
        f"{_session(dialogue)}/sentences/wav/{DIALOGUES[dialogue]}/{DIALOGUES[dialogue]}_{turn}.wav"
    )


def _latin(studio: Studio) -> str:
    path = studio.root / _evaluation(0)
    studio.text(
        _evaluation(0),
        path.read_text(encoding="utf-8").replace(";\t()", ";\t(caf\u00e9)", 1),
        "latin-1",
    )
    return path.name


def _only_tags(studio: Studio) -> str:
    path = studio.root / _words(1)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[0] = f"{lines[0].partition(']: ')[0]}]: [LAUGHTER]"
    studio.text(_words(1), "\n".join(lines) + "\n")
    return f"{DIALOGUES[1]}_F000"


def _undecided(studio: Studio) -> str:
    path = studio.root / _evaluation(2)
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("["))
    cells = lines[first].split("\t")
    lines[first] = "\t".join([*cells[:2], "xxx", *cells[3:]])
    studio.text(_evaluation(2), "\n".join(lines) + "\n")
    return cells[1]


def _no_film(studio: Studio) -> str:
    studio.remove(_film(6))
    return f"{DIALOGUES[6]}_F000"


def _no_wav(studio: Studio) -> str:
    studio.remove(_wav(9, "M001"))
    return f"{DIALOGUES[9]}_M001"


def _no_words(studio: Studio) -> str:
    studio.remove(_words(8))
    return DIALOGUES[8]


DEFECTS = (
    Defect(
        "AppleDouble twin of an evaluation",
        HIDDEN,
        lambda studio: studio.apple_double(_evaluation(0)),
    ),
    Defect("rater's comment in Latin-1", "file that is not UTF-8, read as latin-1", _latin),
    Defect("turn of nothing but a tag", "turn of nothing but tags, which are kept", _only_tags),
    Defect("turn on which raters did not agree (xxx)", DROPPED, _undecided),
    Defect("film of a dialogue missing", NO_VIDEO, _no_film),
    Defect("wav of a turn missing", NO_AUDIO, _no_wav),
    Defect("transcription of a dialogue missing", "dialogue without a transcription", _no_words),
    Defect("wav cut short", FAILS, lambda studio: studio.cut(_wav(4, "M001"))),
    Defect("film cut short", FAILS, lambda studio: studio.cut(_film(3))),
)
