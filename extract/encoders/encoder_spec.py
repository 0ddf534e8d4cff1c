"""What is known of one encoder: a row of the registry, or what a checkpoint says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from embeddings_store.errors import UsageError
from extract.encoders.architectures import check_pooling, kind_of


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder: a row of the registry, or what a checkpoint's ``config.json`` says.

    Attributes:
        name: How the encoder is called in commands and in the store.
        modality: ``"text"``, ``"audio"`` or ``"video"``.
        architecture: Transformers' ``model_type``: a key of
            :data:`extract.encoders.architectures.ARCHITECTURES`, or that of any encoder of text; of
            a set of features the package that computes it.
        hub_id: Repository on the Hub; empty for a folder that no row knows, and for features.
        pooling: What turns states into one vector.
        dim: Width of the vector.
        layers: Number of transformer layers.
        revision: A commit that was verified, else empty; the one actually loaded is
            ``Encoder.revision``.
        padding_harmless: Whether stock Transformers with a correct mask gives the same states for a
            clip alone and padded in a batch. Ours are the same either way.
        licence: SPDX-like name of the licence of the weights.
        source: Paper or page that the row's facts come from.
        note: Anything that a user of the vectors should know.
        prefix: Words that the model was trained to read before every text; empty for most.
        sample_rate: Rate of the waveform in Hz; None for text and video. Filled from the
            architecture.
        max_input: Tokens (text) or seconds (audio) that the model takes at most; None where it sets
            no limit.
        min_duration_s: Shortest sound that gives one frame, in seconds; 0 for text and video.
    """

    name: str
    modality: str
    architecture: str
    hub_id: str
    pooling: str
    dim: int
    layers: int
    revision: str = ""
    padding_harmless: bool = True
    licence: str = ""
    source: str = ""
    note: str = ""
    prefix: str = ""
    sample_rate: int | None = None
    max_input: float | None = None
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the row against its architecture.

        Raises:
            UsageError: If the pooling or the modality does not fit the architecture.
        """
        known = kind_of(self.architecture)
        if self.modality != known.modality:
            raise UsageError(
                f"{self.name}: {self.architecture} reads {known.modality}, not {self.modality}"
            )
        check_pooling(self.architecture, self.pooling)


def spec_of(
    name: str, architecture: str, hub_id: str, dim: int, layers: int, **facts: Any
) -> EncoderSpec:
    """Return what is known of an encoder, with what holds for every one of its architecture.

    Args:
        name: How it is called in commands and in the store.
        architecture: Transformers' ``model_type``.
        hub_id: Repository on the Hub; empty for none.
        dim: Width of the vector.
        layers: Number of transformer layers.
        facts: Any other attribute of :class:`EncoderSpec`.
    """
    known = kind_of(architecture)
    facts.setdefault("pooling", known.pooling)
    return EncoderSpec(
        name=name,
        modality=known.modality,
        architecture=architecture,
        hub_id=hub_id,
        dim=dim,
        layers=layers,
        sample_rate=known.sample_rate,
        max_input=known.max_input,
        min_duration_s=known.min_duration_s,
        **facts,
    )
