"""The options that say from where it is known where faces are, alike in every command."""

from __future__ import annotations

import argparse

from extract.frames.face_source import FaceSource


def add_face_options(group: argparse._ActionsContainer) -> None:
    """Add them to a parser or to a group of its options."""
    group.add_argument(
        "--face-boxes",
        metavar="FILE",
        default="",
        help="take the faces from a CSV or Parquet table instead of looking for them: id or video, "
        "time_s (from the film's start; empty: all the time), left, top, right, bottom (pixels of "
        "the whole picture as it is shown: upright, with square pixels, as check-corpus lists it)",
    )
    group.add_argument(
        "--face-weights",
        metavar="FILE.onnx",
        default="",
        help="look for faces with YuNet, whose weights these are (of 2023 or later; from "
        "opencv_zoo, models/face_detection_yunet), instead of OpenCV's cascades",
    )


def face_source(arguments: argparse.Namespace) -> FaceSource:
    """Return what they say."""
    return FaceSource(arguments.face_boxes, arguments.face_weights)
