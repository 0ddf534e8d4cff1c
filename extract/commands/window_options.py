"""The options that cut the rows of a corpus into windows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

from embeddings_store.errors import UsageError
from extract.windows.corpus import CorpusWindows
from extract.windows.fixed import FixedWindows

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.encoders.video import VideoEncoder


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


def windows_of(arguments: argparse.Namespace) -> CorpusWindows | None:
    """Return how rows are cut, none where they stay whole.

    Raises:
        UsageError: Lengths that cannot be, or an option that does nothing.
    """
    if arguments.window_s is None:
        if arguments.hop_s is not None:
            raise UsageError("--hop-s has no effect without --window-s; add it")
        return None
    if not arguments.window_s > 0:
        raise UsageError("--window-s takes more than 0 seconds; leave it out to keep rows whole")
    hop_s = arguments.window_s if arguments.hop_s is None else arguments.hop_s
    return CorpusWindows(FixedWindows(arguments.window_s, hop_s))


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
