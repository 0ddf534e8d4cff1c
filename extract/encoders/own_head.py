"""Class scores of the head that a checkpoint comes with, over labels of its own.

The whole classifier is run as Transformers has it, its own pooling included. Inputs of one length
go through it together, so a batch adds no padding, and scores do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING,
)

from embeddings_store.errors import ModelLoadError, UsageError
from embeddings_store.reading import AGAIN, reading
from extract.encoders.architectures import kind_of
from extract.encoders.base import Encoder, EncoderInput, ModelEncoder, PreparedInput, running
from extract.encoders.loading import LoadingInfo, digest_of_weights, quiet
from extract.encoders.precision import lower_precision
from extract.encoders.video import VideoEncoder

_SINGLE_PICTURES = ("frames", "cropped-frames", "clip-frames", "siglip-frames")


@dataclass(slots=True)
class OwnHead:
    """A checkpoint's classifier; it makes scores where an encoder makes vectors.

    Attributes:
        encoder: The encoder of the same checkpoint, which prepares inputs.
        model: The whole classifier, in evaluation mode.
        labels: The checkpoint's own labels, in the order of the scores.
        weights_digest: SHA-256 of the classifier's weights.
        layers: One place, as there is one row of scores; it is no layer.
        batch_size: How many inputs of one length go through at once; changes no score.
    """

    encoder: ModelEncoder
    model: PreTrainedModel
    labels: tuple[str, ...]
    weights_digest: str
    layers: tuple[int, ...] = (-1,)
    batch_size: int = 1

    @property
    def dim(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that changes a score, fit for JSON; ``own_labels`` in the scores' order."""
        made_of = {k: v for k, v in self.encoder.settings.items() if k not in _OF_OUR_POOLING}
        return {**made_of, "head": "the checkpoint's own", "own_labels": list(self.labels)}

    def remarks(self) -> list[str]:
        """Say what a user should know of the inputs so far, a sentence each."""
        return self.encoder.remarks()

    def encode(self, inputs: Sequence[EncoderInput]) -> NDArray[np.float32]:
        """Return logits, float32 (inputs, 1, C), in the order of the inputs.

        Raises:
            MediaError: If a clip is too short or too long for the encoder.
            UsageError: If an input is not of the kind that the encoder reads.
        """
        items = [self.encoder.prepare(item) for item in inputs]
        scores = np.empty((len(items), 1, self.dim), dtype=np.float32)
        by_length: dict[int, list[int]] = {}
        for position, item in enumerate(items):
            by_length.setdefault(len(item), []).append(position)
        for positions in by_length.values():
            for start in range(0, len(positions), self.batch_size):
                batch = positions[start : start + self.batch_size]
                scores[batch, 0] = self._logits([items[position] for position in batch])
        return scores

    @torch.inference_mode()
    @torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    def _logits(self, items: list[PreparedInput]) -> NDArray[np.float32]:
        family = kind_of(self.encoder.spec.architecture).family
        given = _INPUTS[family](self.encoder, items)
        with running(self.encoder.folder):
            logits: Tensor = self.model(**given).logits
        if family in _SINGLE_PICTURES:
            logits = logits.reshape(len(items), -1, self.dim).mean(dim=1)
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found


_OF_OUR_POOLING = ("pooling", "percentiles", "pooled_norm", "picture", "group_norm", "positions")


def load_own_head(encoder: Encoder) -> OwnHead:
    """Load the classifier of the checkpoint that an encoder was loaded from.

    Raises:
        UsageError: If the checkpoint has no head over labels, or one of a kind that is not known.
        ModelLoadError: If it cannot be read, or its weights are not all there.
    """
    if not isinstance(encoder, ModelEncoder):
        raise UsageError(f"{encoder.spec.name} has no head; leave --own-head out")
    folder, family = encoder.folder, kind_of(encoder.spec.architecture).family
    none = (
        f"{folder} comes with no head over labels that --own-head knows; leave --own-head out, or "
        "name a checkpoint that was saved as a classifier"
    )
    with reading(folder, "", AGAIN, ModelLoadError, fault="holds a configuration that is not read"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    mapping = _mapping(encoder.spec.modality, family)
    saved_as = [name for name in config.architectures or [] if name.endswith("Classification")]
    if family not in _INPUTS or not saved_as or type(config) not in mapping:
        raise UsageError(none)
    if config.problem_type == "regression" or config.num_labels < 2:
        raise UsageError(f"{none}; its head gives {config.num_labels} number(s) and no classes")
    model_class = mapping[type(config)]
    with reading(folder, model_class.__name__, AGAIN, ModelLoadError), quiet():
        loaded = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            weights_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, found = cast("tuple[PreTrainedModel, LoadingInfo]", loaded)
    wrong = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if wrong:
        raise ModelLoadError(
            f"the weights in {folder} lack {len(wrong)} of {model_class.__name__}, first "
            f"{wrong[0]!r}: its head would be drawn at random; fetch the model again"
        )
    model.to(encoder.device)  # type: ignore[arg-type]  # Transformers' wrapper of to()
    labels = tuple(str(config.id2label[number]) for number in range(config.num_labels))
    if len(set(labels)) < len(labels):
        raise ModelLoadError(
            f"{folder / 'config.json'}: id2label names a label twice ({', '.join(labels)}); "
            "correct it"
        )
    digest = digest_of_weights(model)
    lower_precision(model, encoder.settings["dtype"], encoder.device)
    return OwnHead(encoder, model, labels, digest, batch_size=encoder.batch_size)


def _mapping(modality: str, family: str) -> Mapping[type, type[PreTrainedModel]]:
    """Return Transformers' table from configurations to classifiers of a kind of input."""
    found: Any = {
        "text": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        "audio": MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
        "video": MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING,
    }[modality]
    if family in _SINGLE_PICTURES:
        found = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    return cast("Mapping[type, type[PreTrainedModel]]", found)


def _of_tokens(encoder: ModelEncoder, items: list[Any]) -> dict[str, Tensor]:
    ids = torch.tensor(items, device=encoder.device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _of_values(encoder: ModelEncoder, items: list[Any]) -> dict[str, Tensor]:
    return {"input_values": torch.from_numpy(np.stack(items)).to(encoder.device)}


def _of_clips(encoder: ModelEncoder, items: list[Any]) -> dict[str, Tensor]:
    assert isinstance(encoder, VideoEncoder)  # noqa: S101  # as the table of families says
    return {"pixel_values": encoder.normalised(items)}


def _of_pictures(encoder: ModelEncoder, items: list[Any]) -> dict[str, Tensor]:
    return {"pixel_values": _of_clips(encoder, items)["pixel_values"].flatten(0, 1)}


# What the classifiers of each family are given of prepared inputs of one length. Whisper's is not
# here: it averages over the silence behind a clip that is padded to 30 s, which is not heard here.
_INPUTS: Mapping[str, Callable[[ModelEncoder, list[Any]], dict[str, Tensor]]] = {
    "tokens": _of_tokens,
    "any-tokens": _of_tokens,
    "waveform": _of_values,
    "spectrogram": _of_values,
    "clip": _of_clips,
    "patches": _of_clips,
    **dict.fromkeys(_SINGLE_PICTURES, _of_pictures),
}
