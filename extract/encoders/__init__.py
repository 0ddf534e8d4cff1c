"""Encoders: one table of what there is, one adapter per kind of input.

``load_encoder`` gets one ready to use.
Importing this package, or ``registry``, imports neither torch nor transformers; ``load_encoder``
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from embeddings_store.errors import MissingDependencyError, UsageError
from extract.encoders.architectures import ARCHITECTURES
from extract.encoders.batching import auto_batch_size, length_buckets
from extract.encoders.encoder_spec import EncoderSpec
from extract.encoders.registry import FEATURES, REGISTRY, encoder_names
from extract.encoders.resolving import ResolvedEncoder, resolve
from extract.encoders.settings import INPUTS, OPTIONS, EncoderOptions, InputSettings

if TYPE_CHECKING:
    from extract.encoders.base import Encoder

__all__ = [
    "ARCHITECTURES",
    "FEATURES",
    "REGISTRY",
    "EncoderOptions",
    "EncoderSpec",
    "InputSettings",
    "ResolvedEncoder",
    "auto_batch_size",
    "encoder_names",
    "length_buckets",
    "load_encoder",
    "resolve",
]


def load_encoder(
    encoder: str | ResolvedEncoder,
    *,
    layer: str | int | Sequence[int] = OPTIONS.layer,
    pooling: str | None = OPTIONS.pooling,
    device: str = OPTIONS.device,
    batch_size: int | None = OPTIONS.batch_size,
    inputs: InputSettings = INPUTS,
    revision: str | None = None,
    precision: str = OPTIONS.precision,
) -> Encoder:
    """Load an encoder, ready to encode.

    Args:
        encoder: A registry name, a local folder or a Hub id, or what :func:`resolve` made of one.
        layer: ``"last"``, ``"all"``, a number or several: 0 is the input of the first transformer
            layer, the highest is what the model calls its last hidden state.
        pooling: From states to one vector, such as ``"mean+std"``; None for the encoder's own.
        device: ``"auto"`` (a CUDA GPU if there is one, else the CPU), ``"cpu"``, ``"cuda"``,
            ``"cuda:1"`` or ``"mps"``.
        batch_size: Inputs that go through the model at once; None for :func:`auto_batch_size`.
            Changes no vector.
        inputs: How long clips and texts are cut, and which pictures are drawn.
        revision: Commit, tag or branch on the Hub; not for folders.
        precision: ``"float32"``, or on a CPU ``"bf16"`` or ``"int8"``: products are faster and
            vectors a little different, so this is part of ``settings``.

    Raises:
        UsageError: If an argument does not fit the encoder.
        ModelLoadError: If the model cannot be had or read, or its weights are not exactly those
            that it needs.
        MissingDependencyError: If torch or transformers is not installed.
    """
    resolved = encoder if isinstance(encoder, ResolvedEncoder) else resolve(encoder)
    if revision is not None and resolved.is_local:
        raise UsageError(f"{resolved.source} is a folder; a revision goes with a Hub id")
    try:
        from extract.encoders.build import build
    except ImportError as error:
        raise MissingDependencyError(
            f"encoders need {error.name}; install the extra 'extract'"
        ) from error
    options = EncoderOptions(layer, pooling, device, batch_size, precision)
    return build(resolved, options, inputs, revision)
