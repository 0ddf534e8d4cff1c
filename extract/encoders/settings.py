"""How an encoder is used: what it is given of each row, which vector it makes, and where it runs.

Imports neither torch nor transformers, so that a command can name its defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from embeddings_store.errors import UsageError, unknown_name
from extract.frames.settings import FrameSettings
from extract.media.spans import LONG_RULES


@dataclass(frozen=True, slots=True)
class InputSettings:
    """What an encoder is given of a clip or a text; each kind of encoder looks at its own fields.

    Attributes:
        max_duration_s: Speech: clips longer than this, in seconds, are cut as they are read; none
            for not at all.
        long_rule: Speech: which part of a longer clip is kept, ``first`` or ``middle``.
        max_tokens: Text: tokens that are read, special tokens included, at most what the model
            takes.
        frames: Video: rule and region by which pictures are drawn, and for ViT their number;
            other models take the number that they were made for, and all of them the size.
    """

    max_duration_s: float | None = 10.0
    long_rule: str = "first"
    max_tokens: int = 128
    frames: FrameSettings = field(default_factory=FrameSettings)

    def __post_init__(self) -> None:
        """Check how clips are cut; an adapter checks its own limits.

        Raises:
            UsageError: If there is no such rule, or clips would be cut to nothing.
        """
        if self.long_rule not in LONG_RULES:
            unknown_name("long_rule", self.long_rule, LONG_RULES)
        if self.max_duration_s is not None and not self.max_duration_s > 0:
            raise UsageError(
                f"max_duration_s is {self.max_duration_s}; expected more than 0 seconds, or None"
            )


# In what a frozen encoder multiplies, see :mod:`extract.encoders.precision`.
PRECISIONS = ("float32", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Which vector an encoder makes, and where it runs.

    Attributes:
        layer: ``last``, ``all``, a number or several: 0 is the input of the first transformer
            layer, the highest is what the model calls its last hidden state.
        pooling: From states to one vector, such as ``mean`` or ``mean+std``; none for the encoder's
            own.
        device: ``auto`` (a CUDA GPU if there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1``
            or ``mps``.
        batch_size: Inputs that go through the model at once; none for
            :func:`extract.encoders.batching.auto_batch_size`. Changes no vector.
        precision: In what a frozen encoder multiplies, one of ``PRECISIONS``; all but ``float32``
            are for a CPU.
        threads: With how many a CPU computes; 0 measures at the start which number is faster. Sums
            in another order differ as they do between batches, and not more.
    """

    layer: str | int | Sequence[int] = "last"
    pooling: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    precision: str = "float32"
    threads: int = 0


# What a caller gets who asks for nothing else.
INPUTS = InputSettings()
OPTIONS = EncoderOptions()
