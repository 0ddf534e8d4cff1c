"""Which part of a sound is read, and what came of reading it.

Shared by the readers of sound and of video files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import MediaError, UsageError

# Which part is kept of what is too long.
LONG_RULES = ("first", "middle")

# Annotators and their tools round times to tenths of a second.
END_SLACK_S = 0.1


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples as they were read.

    Attributes:
        samples: float32, (n,), mean of the channels, at ``rate``.
        rate: Hz.
        channels: Channels in the file.
        duration_s: Length of the whole sound in the file.
        cut: Whether part of what was asked for was left out for its length.
    """

    samples: NDArray[np.float32]
    rate: int
    channels: int
    duration_s: float
    cut: bool


@dataclass(frozen=True, slots=True)
class SoundSpan:
    """A part of a sound, in seconds from its beginning.

    Attributes:
        start_s: None for the beginning.
        end_s: None for the end.
        max_duration_s: What is longer is cut; None for never.
        middle: Whether the middle is kept of what is longer, and not the first.
    """

    start_s: float | None = None
    end_s: float | None = None
    max_duration_s: float | None = None
    middle: bool = False

    def __post_init__(self) -> None:
        """Check the part.

        Raises:
            UsageError: If it starts before 0, ends before it starts, or has no length.
        """
        start = self.start_s or 0.0
        end = math.inf if self.end_s is None else self.end_s
        if not 0 <= start < end:
            raise UsageError(
                f"start_s = {self.start_s} and end_s = {self.end_s} describe no part of a sound"
            )
        if self.max_duration_s is not None and not self.max_duration_s > 0:
            raise UsageError(
                f"max_duration_s is {self.max_duration_s}; expected more than 0 seconds, or None"
            )

    def within(self, path: Path, duration_s: float) -> tuple[float, float, bool]:
        """Return where reading begins and ends in a sound of known length.

        Args:
            path: The file, for the message.
            duration_s: Length of the sound in seconds.

        Returns:
            Begin and end in seconds, and whether something is cut off.

        Raises:
            MediaError: If the part is not inside the sound.

        >>> SoundSpan(max_duration_s=2.0, middle=True).within(Path("a.wav"), 10.0)
        (4.0, 6.0, True)
        >>> SoundSpan(start_s=1.0, end_s=10.05).within(Path("a.wav"), 10.0)
        (1.0, 10.0, False)
        """
        begin = self.start_s or 0.0
        end = duration_s if self.end_s is None else self.end_s
        if duration_s <= 0:
            raise MediaError(
                f"{path} holds no sound at all (0 samples); leave it out or fetch it again"
            )
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
        end = min(end, duration_s)
        most = self.max_duration_s
        if most is None or end - begin <= most:
            return begin, end, False
        if self.middle:
            begin += (end - begin - most) / 2
        return begin, begin + most, True
