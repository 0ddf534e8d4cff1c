"""The options that cut the rows of a corpus into windows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from embeddings_store.errors import UsageError
from extract.transcription.source import WordSource
from extract.transcription.speech import DETECTORS
from extract.windows.corpus import ASR, FIXED, GOLD, KINDS, ROWS, SPEECH, CorpusWindows
from extract.windows.fixed import FixedWindows

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.encoders.video import VideoEncoder

DEFAULT_MODEL = "whisper-small"
KEPT = ".transcripts"  # a name that no corpus has


def add_window_options(top: argparse.ArgumentParser) -> None:
    """Add how rows are cut.

    Args:
        top: The parser.
    """
    group = top.add_argument_group("windows")
    group.add_argument(
        "--window-s",
        type=float,
        metavar="S",
        help="cut each row into windows of so many seconds, aligned over sound, pictures and "
        "words; what is left at the end of a row is covered by a last window of full length. They "
        "are a corpus of their own, such as reels-1s-0.5s (default: rows as they are)",
    )
    group.add_argument(
        "--hop-s",
        type=float,
        metavar="S",
        help="seconds from one window's start to the next (default: --window-s)",
    )
    group.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="pictures of each window or row, where the encoder takes any number (default: 16)",
    )
    kinds = "; ".join(f"{name}: {text}" for name, text in KINDS.items())
    group.add_argument(
        "--windows",
        choices=list(KINDS),
        help=f"where windows lie: {kinds} (default: {FIXED})",
    )
    group.add_argument(
        "--write-windows",
        type=Path,
        metavar="FILE.csv",
        help="write the windows as a table (video_id, window_idx, start, end, frames_path, "
        "audio_path, text_snippet, label, split), which --corpus manifest reads, and stop",
    )
    _add_words(top)


def _add_words(top: argparse.ArgumentParser) -> None:
    words = top.add_argument_group("words that are heard")
    words.add_argument(
        "--transcribe",
        nargs="?",
        const=DEFAULT_MODEL,
        metavar="MODEL",
        help="write down what is said: a folder of Whisper, for faster-whisper or in Transformers' "
        "form, its name or Hub id; or a folder of subtitles (SRT, VTT, ASS) that are called like "
        f"the clips (without a value: {DEFAULT_MODEL}). What was heard is kept in STORE/"
        f"{KEPT}, so that nothing is heard twice",
    )
    words.add_argument(
        "--language",
        default="",
        metavar="CODE",
        help="what is spoken, such as id, ko or en (default: the row's language where it is such a "
        "code, else found from the first words of each clip)",
    )
    words.add_argument(
        "--text-source",
        choices=[GOLD, ASR],
        help="with --transcribe: asr takes the words that were heard; gold the corpus' own "
        "transcript where there is one. Both print the word error rate where both are there "
        f"(default: {ASR})",
    )
    words.add_argument(
        "--speech",
        choices=list(DETECTORS),
        help="what finds speech: the level of the sound, or Silero's network, which comes with "
        "faster-whisper (default: silero where faster-whisper listens, else energy)",
    )


def windows_of(arguments: argparse.Namespace) -> CorpusWindows | None:
    """Return how rows are cut and heard, none where they stay as they are.

    Raises:
        UsageError: Lengths that cannot be, or an option that does nothing.
    """
    _refuse_what_does_nothing(arguments)
    kind, window_s = arguments.windows, arguments.window_s
    if window_s is not None and not window_s > 0:
        raise UsageError("--window-s takes more than 0 seconds; leave it out to keep rows whole")
    if kind is None and window_s is None and arguments.transcribe is None:
        return None
    if kind is None:
        kind = ROWS if window_s is None else FIXED
    hop_s = window_s if arguments.hop_s is None else arguments.hop_s
    fixed = FixedWindows() if window_s is None else FixedWindows(window_s, hop_s)
    words = None
    if arguments.transcribe is not None or kind == SPEECH:
        words = WordSource(
            arguments.transcribe or "",
            arguments.language,
            arguments.speech or "",
            _device(arguments.device),
            arguments.store / KEPT,
        )
    source = arguments.text_source or (GOLD if arguments.transcribe is None else ASR)
    return CorpusWindows(fixed, kind, words, source)


def _refuse_what_does_nothing(arguments: argparse.Namespace) -> None:
    if arguments.hop_s is not None and arguments.window_s is None:
        raise UsageError("--hop-s has no effect without --window-s; add it")
    if arguments.transcribe is None:
        for option in ("language", "text_source"):
            if getattr(arguments, option):
                name = option.replace("_", "-")
                raise UsageError(f"--{name} has no effect without --transcribe; add it")
        if arguments.speech and arguments.windows != SPEECH:
            raise UsageError("--speech has no effect without --transcribe or --windows speech")


def _device(name: str) -> str:
    """Return where a recogniser runs, of what ``--device`` says."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def require_frames(asked: int | None, encoder: Encoder) -> None:
    """Refuse a number of pictures that an encoder does not take, instead of ignoring it.

    Args:
        asked: What ``--frames`` says.
        encoder: The loaded encoder.

    Raises:
        UsageError: It was made for another number.
    """
    if asked is None or encoder.spec.modality != "video":
        return
    takes = cast("VideoEncoder", encoder).frames.frames
    if takes != asked:
        raise UsageError(
            f"--frames {asked}: {encoder.spec.name} was made for {takes} pictures; leave the "
            "option out, or take an encoder of single pictures, such as --encoder vit-base"
        )
