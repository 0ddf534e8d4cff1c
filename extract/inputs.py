"""From a manifest row to what an encoder is given: a transcript, or the samples of a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.errors import ManifestError, MediaError, UnsafePathError
from embeddings_store.manifest import Utterance, resolve_media

if TYPE_CHECKING:
    from extract.encoders import Encoder


@dataclass(frozen=True, slots=True)
class Input:
    """One utterance, ready to be encoded.

    Attributes:
        item: A transcript, or float32 samples (n,).
        length: Its size in any one unit, for batches of similar length.
        digest: Sixteen hex digits over the item: equal inputs, equal digest.
        caution: What a user should know of it although it can be encoded, else empty.
    """

    item: str | NDArray[np.float32]
    length: int
    digest: str
    caution: str = ""


Reader = Callable[[Utterance], Input]


def reader_for(encoder: Encoder, root: Path | None) -> Reader:
    """Return the function that reads one row for this encoder; it raises :class:`MediaError` where it cannot.

    Raises:
        ManifestError: The encoder needs files and the manifest names no root.
    """
    if encoder.spec.modality == "text":
        return _read_text
    if root is None:
        raise ManifestError(f"{encoder.spec.modality} needs the corpus' folder; give it with --root")
    return lambda row: _read_audio(row, root, encoder)


def _read_text(row: Utterance) -> Input:
    text = row.text.strip()
    if not text:
        raise MediaError("the transcript holds only spaces; fill it in, or leave the cell empty to mark it as missing")
    return Input(text, len(text), hashlib.sha256(text.encode()).hexdigest()[:16])


def _read_audio(row: Utterance, root: Path, encoder: Encoder) -> Input:
    from extract.media import load_audio, require_duration

    try:
        path = resolve_media(root, row.audio)
        clip = load_audio(path, sample_rate=encoder.spec.sample_rate or 16_000,
                          start_s=_time(row.start_s), end_s=_time(row.end_s), max_duration_s=encoder.max_duration_s,
                          long_rule=encoder.long_rule)
        require_duration(clip, encoder.spec.min_duration_s)
    except (MediaError, UnsafePathError) as error:
        # The reason goes into the store, which must not tell where the user's corpus lies.
        raise MediaError(str(error).replace(f"{root.resolve()}/", "")) from error
    caution = "silent: every sample is zero, so the vector says nothing about the voice" if clip.peak == 0 else ""
    digest = hashlib.sha256(np.ascontiguousarray(clip.samples).tobytes()).hexdigest()[:16]
    return Input(clip.samples, len(clip.samples), digest, caution)


def _time(value_s: float) -> float | None:
    return None if np.isnan(value_s) else value_s
