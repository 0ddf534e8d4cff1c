"""Frames of video files.

Drawn by a stated rule, cut to a region, scaled once, cached, and always the right ones.
"""

from extract.frames.cache import FrameCache
from extract.frames.clips import FrameClip, VideoFile, read_clip, read_spans
from extract.frames.geometry import flip
from extract.frames.settings import FACES, REGIONS, RULES, SIDES, FrameSettings, TimeSpan

__all__ = [
    "FACES",
    "REGIONS",
    "RULES",
    "SIDES",
    "FrameCache",
    "FrameClip",
    "FrameSettings",
    "TimeSpan",
    "VideoFile",
    "flip",
    "read_clip",
    "read_spans",
]
