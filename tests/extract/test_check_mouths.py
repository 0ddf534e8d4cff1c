"""Whether a mouth moves with the sound: composed split screens with the right and the wrong half.

Drawn mouths follow the sound far better than real ones do: what is shown is that the check tells
speakers from listeners where there is something to see, and that it says no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from embeddings_store.corpus.manifest import Manifest
from extract.checks.face_reading import look_at_faces
from extract.checks.faces import speakers_seen
from extract.checks.finding import CorpusFinding, FaceFacts, ReleaseUnderCheck
from extract.checks.mouths import agreement, loudness, mouth_curves
from extract.corpora.demo_release import faces
from extract.frames.face_source import FaceSource

HZ, SECONDS, ROWS, SIDE = 12.5, 2.08, 20, 96
PICTURES = round(HZ * SECONDS)
# The face's square without the margin around it.
BOX = (16, 16, 80, 80)


def heads() -> np.ndarray:
    """Eight openings of one mouth, closed first."""
    look, talk = faces.look_of("Ses01_M", False), faces.EXPRESSIONS["neutral"]
    drawn = [faces.draw(look, replace(talk, gap=4.0 * n), 0.0) for n in range(8)]
    return np.stack(drawn)[:, 32:224:2, 32:224:2]


def talk(rng: np.random.Generator, count: int) -> np.ndarray:
    """How loud somebody is in each picture, 0 to 1, in syllables."""
    kernel = np.array([0.2, 0.6, 0.2])
    return np.clip(np.convolve(rng.random(count) ** 2, kernel, "same") * 1.4, 0, 1)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split screen of which the left half speaks what is heard, and the right half listens."""
    root, rng = tmp_path_factory.mktemp("film"), np.random.default_rng(0)
    count = PICTURES * ROWS
    spoken, heard = talk(rng, count), talk(rng, count)
    mouths = heads()
    with av.open(str(root / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        stream.bit_rate = 2_000_000
        for left, right in zip(spoken, heard, strict=True):
            # The listener smiles and chews a little; he does not speak.
            pair = [mouths[round(7 * left)], mouths[round(3 * right)]]
            picture = av.VideoFrame.from_ndarray(np.hstack(pair), format="rgb24")
            for _ in range(2):
                container.mux(stream.encode(picture))
        container.mux(stream.encode())
    envelope = np.interp(np.arange(int(count / HZ * 8000)) / 8000 * HZ, np.arange(count), spoken)
    noise = rng.normal(0, 0.1, len(envelope))
    soundfile.write(root / "a.wav", (noise * envelope**2).astype(np.float32), 8000)
    lines = ["video,left,top,right,bottom"]
    for offset in (0, SIDE):
        left, top, right, bottom = BOX
        lines.append(f"a.avi,{left + offset},{top},{right + offset},{bottom}")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root


def seen(root: Path, side: str, rows: int = ROWS, sound: str = "a.wav") -> list[CorpusFinding]:
    starts = [SECONDS * number for number in range(rows)]
    columns: dict[str, list[object]] = {
        "id": [f"u{number}" for number in range(rows)],
        "video": ["a.avi"] * rows,
        "audio": [sound] * rows,
        "start_s": starts,
        "end_s": [start + SECONDS for start in starts],
        "meta_video_side": [side] * rows,
    }
    manifest = Manifest.from_columns("m", columns, root=root)
    source = FaceSource(str(root / "boxes.csv"))
    memory = root / f"{side}{rows}{sound}.jsonl"
    facts = look_at_faces(manifest, range(rows), 1, lambda n: None, memory, source)
    again = look_at_faces(manifest, range(rows), 1, lambda n: None, memory, source)
    assert facts == again, "remembered as it was seen"
    return list(speakers_seen(ReleaseUnderCheck(manifest, root, faces=facts)))


def test_the_half_that_speaks_is_a_fact_and_the_half_that_listens_a_caution(film: Path) -> None:
    (speaker,) = seen(film, "left")
    assert speaker.level == "fact" and len(speaker.data["disagree"]) <= 2
    assert "rows the mouth moves with the row's own sound" in speaker.sentence
    (listener,) = seen(film, "right")
    assert (listener.level, listener.status) == ("warning", 0), "a caution, never more"
    assert listener.count >= 18 and "row, of 20, whose mouth moves no more" in listener.sentence


def test_rows_without_sound_say_nothing_and_a_few_rows_are_not_judged(film: Path) -> None:
    assert seen(film, "left", sound="") == []
    (few,) = seen(film, "left", rows=5)
    assert few.level == "fact" and "was not judged: it takes more than 10 rows" in few.sentence


def _facts(drive: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> list[FaceFacts]:
    """Return rows of one face whose mouth opens as ``drive`` makes of the loudness."""
    rng, found, mouths = np.random.default_rng(1), [], heads()
    for number in range(60):
        loud = talk(rng, 40)
        opening = np.clip(drive(loud, rng), 0, 1)
        curves = mouth_curves(mouths[np.rint(7 * opening).astype(int)])
        found.append(FaceFacts(str(number), 1.0, mouth=tuple(map(tuple, curves)), loud=tuple(loud)))
    return found


@pytest.mark.parametrize(
    ("drive", "level", "low", "high"),
    [
        (lambda loud, rng: loud, "fact", 0, 2),
        (lambda loud, rng: 0.5 * loud + 0.5 * talk(rng, 40), "fact", 0, 12),
        # One face only: of listeners half are found, enough for a corpus and not for a row.
        (lambda loud, rng: talk(rng, 40), "warning", 18, 42),
        (lambda loud, rng: np.zeros(40), "warning", 55, 60),
    ],
)
def test_what_the_check_can_tell_of_corpora_without_a_second_half(
    drive: Callable[..., np.ndarray], level: str, low: int, high: int
) -> None:
    facts = _facts(drive)
    release = ReleaseUnderCheck(Manifest.from_columns("m", {"id": ["a"]}), Path(), faces=facts)
    (finding,) = speakers_seen(release)
    assert finding.level == level and low <= len(finding.data["disagree"]) <= high


def test_loudness_and_agreement_of_what_is_known() -> None:
    samples = np.concatenate([np.zeros(1000), np.full(1000, 0.25)]).astype(np.float32)
    loud = loudness(samples, 1000, np.array([-1.0, 0.5, 1.5, 9.0]))
    assert loud.tolist() == pytest.approx([0, 0, 0.5, 0])
    wave = np.sin(np.arange(50))
    late = np.sin(np.arange(50) - 2)
    found = agreement(np.stack([wave, wave]), np.stack([late, np.zeros(50)]))
    assert found == pytest.approx([2, 0], abs=0.01)
