"""From sound to words: where somebody speaks, what is dropped, kept, and refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ModelLoadError, StoreError, UnknownNameError, UsageError
from extract.commands.extract_options import build_parser
from extract.commands.window_options import windows_of
from extract.transcription import transcribe
from extract.transcription.error_rate import error_rate
from extract.transcription.kept import KeptTranscripts
from extract.transcription.load import load_recogniser
from extract.transcription.recogniser import require_language
from extract.transcription.source import WordSource
from extract.transcription.speech import RATE, Samples, speech_by_energy, speech_by_silero
from extract.transcription.subtitles import read_subtitles
from extract.transcription.transcribe import Transcriber
from extract.transcription.words import Word
from extract.windows.corpus import ASR, CUES, GOLD, ROWS, SPEECH, CorpusWindows, cut_corpus
from extract.windows.fixed import FixedWindows

SHARED = Path(__file__).resolve().parents[3] / "shared"
WHISPER, RAVDESS = SHARED / "models" / "whisper-tiny", SHARED / "data" / "ravdess"
real = pytest.mark.skipif(not WHISPER.is_dir(), reason="needs Whisper-tiny and RAVDESS")


class Bursts:
    """A recogniser that knows bursts of tone; it also writes a word over every long silence."""

    about: Mapping[str, object] = {"engine": "bursts", "model": "bursts.en"}
    languages = frozenset({"en"})

    def __init__(self, calls: int = 1_000_000) -> None:
        self.calls = calls

    def language_of(self, samples: Samples) -> str:
        return "en"

    def words(self, samples: Samples, language: str) -> list[Word]:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        loud = np.abs(samples) > 0.01
        edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]).astype(int)))
        gaps = np.flatnonzero(np.diff(edges) > 0.2 * RATE)
        found, first = [], edges[0]
        for last in [*edges[gaps], edges[-1]]:
            found.append(Word(first / RATE, last / RATE, f"{last - first}"))
            later = edges[edges > last]
            if len(later):
                found.append(Word((last + 8_000) / RATE, (last + 8_100) / RATE, "Thanks!"))
                first = later[0]
        return found


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 40 s in which a tone sounds now and then, 17 times, each of its own length."""
    sound = np.zeros(40 * RATE)
    for number in range(17):
        start = int((0.5 + 2.3 * number) * RATE)
        length = int((0.4 + 0.05 * number) * RATE)
        sound[start : start + length] = 0.3 * np.sin(np.arange(length) / 4)
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, sound, RATE)
    return path


def test_nobody_speaks_in_silence_or_steady_noise() -> None:
    noise = np.random.default_rng(0).normal(size=3 * RATE).astype(np.float32)
    for samples in (np.zeros(3 * RATE, np.float32), noise / 10, noise[:100]):
        assert speech_by_energy(samples) == []


def test_pieces_change_nothing_and_words_over_silence_are_dropped(
    dialogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Transcriber(Bursts()).hear(dialogue)
    assert len(whole.words) == len(whole.speech) == 17 and whole.language == "en"
    assert whole.dropped > 5
    assert [word.start_s for word in whole.words] == pytest.approx(
        [0.5 + 2.3 * number for number in range(17)], abs=0.002
    )
    monkeypatch.setattr(transcribe, "PIECE_S", 3.7)
    in_pieces = Transcriber(Bursts()).hear(dialogue)
    assert [word.text for word in in_pieces.words] == [word.text for word in whole.words]
    assert [w.start_s for w in in_pieces.words] == pytest.approx(
        [w.start_s for w in whole.words], abs=0.002
    )
    part = Transcriber(Bursts()).hear(dialogue, 20.0, 30.0)
    assert [w.text for w in part.words] == [w.text for w in whole.words if 20 < w.start_s < 29]


def test_what_was_heard_is_not_heard_again(
    dialogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcribe, "PIECE_S", 3.7)
    kept = KeptTranscripts(tmp_path)
    whole, every = Bursts(), Transcriber(Bursts()).hear(dialogue)
    with pytest.raises(KeyboardInterrupt):
        Transcriber(Bursts(calls=4), kept).hear(dialogue)
    assert Transcriber(whole, kept).hear(dialogue) == every
    calls = 1_000_000 - whole.calls
    fresh = Bursts()
    Transcriber(fresh).hear(dialogue)
    assert calls == 1_000_000 - fresh.calls - 4
    # whatever the file is called, and not for another language or another part
    copy = dialogue.with_name("b.wav")
    copy.write_bytes(dialogue.read_bytes())
    assert Transcriber(Bursts(calls=0), kept).hear(copy) == every
    for given in ({"language": "en"}, {"start_s": 1.0}):
        with pytest.raises(KeyboardInterrupt):
            Transcriber(Bursts(calls=0), kept).hear(dialogue, **given)  # type: ignore[arg-type]

    place = next(p for p in tmp_path.rglob("*.json") if p.name != "about.json")
    data = json.loads(place.read_text())
    place.write_text(json.dumps({**data, "dropped": 0}))
    with pytest.raises(StoreError, match="was changed after it was written; remove it"):
        Transcriber(Bursts(), kept).hear(dialogue)


def test_english_weights_are_refused_for_other_languages(tmp_path: Path) -> None:
    require_language(Bursts(), "en")
    with pytest.raises(UsageError, match=r"bursts.en writes English alone, not 'id'"):
        require_language(Bursts(), "id")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelLoadError, match="is no Whisper"):
        load_recogniser(str(tmp_path))


SRT = """1
00:00:00,500 --> 00:00:02,500
<i>Was ist</i> denn

2
00:00:03,000 --> 00:00:05,000
schöner?
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_subtitles_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    pytest.importorskip("pysubs2")
    (tmp_path / "a.srt").write_bytes(SRT.encode(encoding))
    found = read_subtitles(tmp_path / "a.srt", "de")
    assert found.text() == "Was ist denn schöner?" and found.text(2.6, 9.0) == "schöner?"
    assert list(found.spoken_cues()) == [(0.5, 2.5), (3.0, 5.0)]
    assert [w.start_s for w in found.words] == [0.5, 1.1, 1.7, 3.0]


def test_windows_take_the_words_that_are_said_in_them(dialogue: Path, tmp_path: Path) -> None:
    pytest.importorskip("pysubs2")
    (tmp_path / "a.srt").write_text(SRT)
    columns: dict[str, object] = {
        "id": ["v1", "v2"],
        "label": ["x", "y"],
        "text": ["Was ist denn, schöner", "only text"],
        "audio": ["a.wav", ""],
        "end_s": [6.0, np.nan],
    }
    manifest = Manifest.from_columns("mine", columns, root=dialogue.parent)
    source = WordSource(str(tmp_path))

    def cut(kind: str, window_s: float, text_source: str) -> Manifest:
        fixed = FixedWindows(window_s, window_s)
        return cut_corpus(manifest, CorpusWindows(fixed, kind, source, text_source))

    fixed = cut("fixed", 1.5, ASR)
    assert fixed.name == "mine-1.5s-1.5s-asr"
    assert fixed.table["text"].tolist() == ["Was ist", "denn", "schöner?", "", "only text"]
    assert "word error rate 0.0 % of 4 words in 1 rows" in fixed.notes[-1]
    assert cut("fixed", 1.5, GOLD).table["text"].nunique() == 2
    cues = cut(CUES, 0.0, ASR)
    assert cues.name == "mine-cues-asr"
    assert cues.table["start_s"].tolist()[:2] == [0.5, 3.0]
    assert cues.table["text"].tolist() == ["Was ist denn", "schöner?", "only text"]
    rows = cut(ROWS, 0.0, ASR)
    assert rows.table["text"].tolist() == ["Was ist denn schöner?", "only text"]
    assert "meta_clip" not in rows.table and rows.ids.tolist() == ["v1", "v2"]
    speech = cut_corpus(manifest, CorpusWindows(FixedWindows(), SPEECH, WordSource(), GOLD))
    assert speech.name == "mine-speech" and len(speech) == 4
    assert speech.table["start_s"].tolist()[:3] == pytest.approx([0.4, 2.7, 5.0], abs=0.03)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--language", "id"], "without --transcribe"),
        (["--text-source", "asr"], "without --transcribe"),
        (["--speech", "energy"], "without --transcribe or --windows speech"),
        (["--windows", "cues"], "no cues and no words without --transcribe"),
        (["--windows", "fixed", "--transcribe", "x"], "need a length"),
    ],
)
def test_options_that_do_nothing_are_refused(given: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        windows_of(build_parser().parse_args(["--device", "cpu", *given]))


def test_word_errors_are_insertions_deletions_and_substitutions() -> None:
    said = ["a b c d", "", "a"]
    assert error_rate(said, ["a x c", "b", "a"]).errors == 3
    assert error_rate(["a b", "c"], ["", "c"]).rate == pytest.approx(2 / 3)
    assert np.isnan(error_rate([""], [""]).rate)


@real
@pytest.mark.telling
def test_both_engines_hear_two_sentences_and_nothing_in_silence(tmp_path: Path) -> None:
    converters = pytest.importorskip("ctranslate2.converters")
    pytest.importorskip("faster_whisper")
    fast = tmp_path / "fast"
    copied = ["tokenizer.json", "preprocessor_config.json"]
    converters.TransformersConverter(str(WHISPER), copy_files=copied).convert(str(fast))
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(4 * RATE), RATE)
    clips = [RAVDESS / "Actor_02" / f"03-01-01-01-0{n}-01-02.flac" for n in (1, 2)]
    said = ["kids are talking by the door", "dogs are sitting by the door"]
    for folder in (WHISPER, fast):
        recogniser = load_recogniser(str(folder))
        assert {"en", "id", "ko"} <= recogniser.languages
        transcriber = Transcriber(recogniser)
        found = [transcriber.hear(clip) for clip in clips]
        assert error_rate(said, [one.text() for one in found]).errors <= 1
        assert all(one.language == "en" for one in found)
        for one in found:
            times = [time_s for word in one.words for time_s in (word.start_s, word.end_s)]
            assert times == sorted(times) and all(0 < w.confidence <= 1 for w in one.words)
        assert transcriber.hear(silence).words == ()
    spans = speech_by_silero(soundfile.read(clips[0], dtype="float32")[0])
    assert len(spans) == 1 and 0.5 < spans[0][0] < 1.5


@real
@pytest.mark.telling
def test_a_run_that_is_killed_hears_no_clip_twice(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    root.mkdir()
    rows = []
    for path in sorted((RAVDESS / "Actor_02").glob("*-01-0[12]-01-02.flac"))[:10]:
        (root / path.name).symlink_to(path)
        rows.append({"id": path.stem, "label": path.stem[6:8], "audio": path.name})
    pd.DataFrame(rows).to_csv(root / "clips.csv", index=False)
    command = [sys.executable, "-m", "extract.commands.extract_features", "--corpus", "manifest"]
    command += ["--root", str(root / "clips.csv"), "--follow-links", "--modality", "audio"]
    command += ["--encoder", "mfcc", "--frozen", "--store", str(tmp_path / "store")]
    command += ["--transcribe", str(WHISPER), "--window-s", "1"]

    def heard() -> dict[Path, int]:
        found = (tmp_path / "store" / ".transcripts").rglob("*.json")
        return {p: p.stat().st_mtime_ns for p in found if p.name != "about.json"}

    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while len(heard()) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    before = heard()
    assert 3 <= len(before) < 10
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    after = heard()
    assert len(after) == 10 and before.items() <= after.items()
    stored = Manifest.load(tmp_path / "store" / "clips-1s-1s-asr")
    assert "door" in " ".join(stored.table["text"])


def test_a_recogniser_that_is_not_known_gets_the_names_of_recognisers() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'whisper-small'") as caught:
        load_recogniser("whisper-smal")
    assert "bert" not in str(caught.value)
