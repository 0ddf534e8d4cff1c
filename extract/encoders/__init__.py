"""Encoders: one table of what there is, one adapter per kind of input, and ``load_encoder`` to get one ready to use.

Importing this package, or ``registry``, imports neither torch nor transformers; ``load_encoder``
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from embeddings_store.errors import MissingDependencyError, UsageError, unknown_name
from extract.encoders.architectures import ARCHITECTURES
from extract.encoders.batching import auto_batch_size, length_buckets
from extract.encoders.registry import REGISTRY, EncoderSpec, ResolvedEncoder, names, resolve
from extract.media.spans import LONG_RULES

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.frames.settings import FrameSettings

__all__ = [
    "ARCHITECTURES",
    "REGISTRY",
    "EncoderSpec",
    "ResolvedEncoder",
    "auto_batch_size",
    "length_buckets",
    "load_encoder",
    "names",
    "resolve",
]


def load_encoder(
    encoder: str | ResolvedEncoder,
    *,
    layer: str | int | Sequence[int] = "last",
    pooling: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    max_duration_s: float | None = 10.0,
    long_rule: str = "first",
    max_tokens: int = 128,
    frames: FrameSettings | None = None,
    revision: str | None = None,
) -> Encoder:
    """Load an encoder, ready to encode.

    Args:
        encoder: A registry name, a local folder or a Hub id, or what :func:`resolve` made of one.
        layer: ``"last"``, ``"all"``, a number or several: 0 is the input of the first transformer
            layer, the highest is what the model calls its last hidden state.
        pooling: None for the encoder's own.
        device: ``"auto"`` (a CUDA GPU if there is one, else the CPU), ``"cpu"``, ``"cuda"``,
            ``"cuda:1"`` or ``"mps"``.
        batch_size: Inputs that go through the model at once; None for :func:`auto_batch_size`.
            Changes no vector.
        max_duration_s: Length in seconds at which clips are cut as they are read; None for not at
            all. Speech only.
        long_rule: Which part of a longer clip is kept: ``"first"`` or ``"middle"``. Speech only.
        max_tokens: Tokens of a text that are read, special tokens included, at most what the model
            takes. Text only.
        frames: Rule and region by which clips are drawn, and for ViT their number; other models
            take the number that they were made for, and all of them the size. None for the
            defaults. Video only.
        revision: Commit, tag or branch on the Hub; not for folders.

    Raises:
        UsageError: If an argument does not fit the encoder.
        ModelLoadError: If the model cannot be had or read, or its weights are not exactly those
            that it needs.
        MissingDependencyError: If torch or transformers is not installed.
    """
    resolved = encoder if isinstance(encoder, ResolvedEncoder) else resolve(encoder)
    if long_rule not in LONG_RULES:
        unknown_name("long_rule", long_rule, LONG_RULES)
    if max_duration_s is not None and not max_duration_s > 0:
        raise UsageError(
            f"max_duration_s is {max_duration_s}; expected more than 0 seconds, or None"
        )
    if revision is not None and resolved.is_local:
        raise UsageError(f"{resolved.source} is a folder; a revision goes with a Hub id")
    try:
        from extract.encoders.build import build
    except ImportError as error:
        raise MissingDependencyError(
            f"encoders need {error.name}; install the extra 'extract'"
        ) from error
    return build(
        resolved,
        revision=revision,
        device=device,
        layer=layer,
        pooling=pooling,
        batch_size=batch_size,
        max_duration_s=max_duration_s,
        long_rule=long_rule,
        max_tokens=max_tokens,
        frames=frames,
    )
