"""What changes a pixel: which frames of a span are drawn, from which part, and how large."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, UsageError, unknown_name
from extract.frames import content
from extract.frames.face import SETTINGS as RULE
from extract.frames.face_boxes import FaceBoxes
from extract.frames.face_source import FaceSource

RULES = ("uniform", "consecutive")
FACES = ("face", "half-face")
REGIONS = ("full", "half", "half-unboxed", *FACES)
SIDES = ("left", "right")

# The sound of a recording often outlasts its picture by a few frames, and spans are annotated on
# the sound.
END_SLACK_S = 0.5
# Beyond this a span that outlasts the picture is worth a word; below it is a rounded time.
_WORTH_A_NOTE_S = 0.1
# The last instant of a span lies this much before its end, where the next picture may begin.
_LAST_S = 1e-4


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """How a span becomes a fixed number of square pictures.

    The paper says "16 frames, 224 px, 30 fps sampling" and not how the 16 are drawn; 16 frames at
    30 Hz are 0.53 s of an utterance whose median is 3.6 s. Hence two rules:

    * ``uniform`` (default): the picture shown at the centre of each of 16 equal parts, so that the
      whole span is seen. A span with fewer frames than that shows some of them more than once.
    * ``consecutive``: the pictures shown at 16 instants of a 30 Hz clock, taken from the middle of
      the span. A shorter span is read from its start and its last picture is repeated.

    Attributes:
        frames: Pictures per clip.
        rule: ``uniform`` or ``consecutive``.
        rate_hz: Clock of ``consecutive``; without meaning for ``uniform``.
        region: ``full``; ``half``, one side of a split screen; ``half-unboxed``, what a letterbox
            such as IEMOCAP's leaves of that half, see :mod:`extract.frames.content`; or ``face``
            and ``half-face``, the face that is followed in the picture or in that half, see
            :mod:`extract.frames.face`.
        size: Side of the square in pixels.
        faces: From where it is known where faces are.
    """

    frames: int = 16
    rule: str = "uniform"
    rate_hz: float = 30.0
    region: str = "full"
    size: int = 224
    faces: FaceSource = field(default_factory=FaceSource)

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            UsageError: If one is out of its range, or names a rule or region that does not exist.
            ManifestError: If the file of boxes is none.
            MissingDependencyError: If the region is a face and the detector is not installed.
        """
        if self.region in FACES:
            self.faces.check()
        elif self.faces != FaceSource():
            raise UsageError(
                f"where faces are is asked for with region {' or '.join(FACES)}, not with "
                f"{self.region!r}"
            )
        if self.rule not in RULES:
            unknown_name("frame rule", self.rule, RULES)
        if self.region not in REGIONS:
            unknown_name("region", self.region, REGIONS)
        if self.frames < 1 or self.size < 1 or not 0 < self.rate_hz < math.inf:
            raise UsageError(
                f"frames = {self.frames}, size = {self.size}, rate_hz = {self.rate_hz}: expected "
                "more than 0"
            )

    def as_dict(self) -> dict[str, object]:
        """Return what changes a pixel, flat and fit for JSON and for a fingerprint.

        >>> FrameSettings().as_dict()["frame_rate_hz"] is None
        True
        >>> FrameSettings(rule="consecutive").as_dict()["frame_rate_hz"]
        30.0
        """
        found: dict[str, object] = {
            "frames": self.frames,
            "frame_rule": self.rule,
            "frame_rate_hz": self.rate_hz if self.rule == "consecutive" else None,
            "region": self.region,
            "frame_size": self.size,
            "resize": "square pixels, shorter side, bilinear, centre crop",
        }
        if self.region in FACES:
            found |= {**RULE, **self.faces.as_dict()}
        if self.region == "half-unboxed":
            found |= content.RULE
        return found


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A part of a video, in seconds from the start of the file.

    Attributes:
        start_s: None for the beginning.
        end_s: None for the end.
        side: ``left`` or ``right`` where the region is one half of the picture, else empty.
        boxes: Where its face is, for settings that take it from a file.
    """

    start_s: float | None = None
    end_s: float | None = None
    side: str = ""
    boxes: FaceBoxes | None = None

    def __post_init__(self) -> None:
        """Check the span.

        Raises:
            UsageError: If it starts before 0, ends before it starts, has no length, or names a
                side that there is not.
        """
        if self.side and self.side not in SIDES:
            unknown_name("side", self.side, SIDES)
        start = self.start_s or 0.0
        end = math.inf if self.end_s is None else self.end_s
        if not 0 <= start < end:
            raise UsageError(
                f"start_s = {self.start_s} and end_s = {self.end_s} describe no part of a video"
            )

    def within(self, path: Path, duration_s: float) -> tuple[float, float, str]:
        """Return where the span begins and ends in a video of known length, in seconds.

        Args:
            path: The file, for the message.
            duration_s: Length of the video.

        Returns:
            Begin and end, and a note if the span outlasts the picture.

        Raises:
            MediaError: If it begins at or after the end, or ends more than ``END_SLACK_S`` after
                it.

        >>> TimeSpan(1.0, 10.04).within(Path("a.avi"), 10.0)
        (1.0, 10.0, '')
        """
        begin = self.start_s or 0.0
        end = duration_s if self.end_s is None else self.end_s
        if begin >= duration_s:
            raise MediaError(
                f"{path} is {duration_s:.3f} s long, so nothing starts at {begin:g} s; correct "
                "the manifest"
            )
        if end > duration_s + END_SLACK_S:
            raise MediaError(
                f"{path} is {duration_s:.3f} s long, so nothing ends at {end:g} s; correct the "
                "manifest"
            )
        late_s = end - duration_s
        note = ""
        if late_s > _WORTH_A_NOTE_S:
            note = f"the span ends {late_s:.2f} s after the picture, which was left off"
        return begin, min(end, duration_s), note


def sample_times(begin_s: float, end_s: float, settings: FrameSettings) -> NDArray[np.float64]:
    """Return the instants, in seconds, whose pictures are drawn from a span.

    Args:
        begin_s: Where the span begins.
        end_s: Where it ends.
        settings: How many pictures, and by which rule, see :class:`FrameSettings`.

    Returns:
        float64, (frames,), not decreasing, from ``begin_s`` and before ``end_s``.

    >>> sample_times(0.0, 4.0, FrameSettings(frames=4)).tolist()
    [0.5, 1.5, 2.5, 3.5]
    >>> half_seconds = FrameSettings(frames=4, rule="consecutive", rate_hz=2.0)
    >>> sample_times(0.0, 4.0, half_seconds).tolist()
    [1.25, 1.75, 2.25, 2.75]
    >>> sample_times(0.0, 1.0, half_seconds).round(3).tolist()
    [0.25, 0.75, 1.0, 1.0]
    """
    centres = np.arange(settings.frames, dtype=np.float64) + 0.5
    if settings.rule == "uniform":
        return begin_s + centres * ((end_s - begin_s) / settings.frames)
    clip_s = settings.frames / settings.rate_hz
    first_s = max(begin_s, (begin_s + end_s - clip_s) / 2)
    last_s = max(begin_s, end_s - _LAST_S)
    return np.minimum(first_s + centres / settings.rate_hz, last_s)
