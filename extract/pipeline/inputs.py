"""From a manifest row to what an encoder is given.

A transcript, the samples of a clip, or its pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest, Utterance
from embeddings_store.errors import ManifestError, MediaError, UnsafePathError
from extract.pipeline.film_parts import lacks_side, refuse_without_side, video_spans

if TYPE_CHECKING:
    from extract.encoders.audio import AudioEncoder
    from extract.encoders.base import Encoder
    from extract.encoders.features import FeatureEncoder
    from extract.encoders.video import VideoEncoder
    from extract.frames import FrameCache, FrameSettings, TimeSpan


@dataclass(frozen=True, slots=True)
class Input:
    """One utterance, ready to be encoded.

    Attributes:
        item: A transcript, float32 samples (n,), or uint8 pictures (T, H, W, 3).
        length: Its size in any one unit, for batches of similar length.
        digest: Sixteen hex digits over the item: equal inputs, equal digest.
        caution: What a user should know of it although it can be encoded, else empty.
    """

    item: str | NDArray[np.float32] | NDArray[np.uint8]
    length: int
    digest: str
    caution: str = ""


RowReader = Callable[[Utterance], Input]

# How many rows a measurement reads.
PROBE_ROWS = 4


def reader_for(
    encoder: Encoder, manifest: Manifest, cache: FrameCache | None = None, column: str = "text"
) -> RowReader:
    """Return the function that reads one row for this encoder.

    It raises :class:`MediaError` where it cannot.

    Args:
        encoder: Says what it reads and how it is cut.
        manifest: The corpus, with the folder that its media lie in.
        cache: Where decoded pictures lie; none decodes them each time.
        column: What a text encoder reads: ``text``, or a ``meta_*`` column.

    Raises:
        ManifestError: The encoder needs files and the manifest names no root.
    """
    if encoder.spec.modality == "text":
        texts = dict(zip(manifest.table["id"], manifest.table[column], strict=True))
        return lambda row: _read_text(texts[row.id])
    _check_root(encoder, manifest)
    if encoder.spec.modality == "audio":
        speech = cast("AudioEncoder | FeatureEncoder", encoder)
        return lambda row: _safely(manifest, row.audio, lambda path: _read_audio(row, path, speech))
    frames = cast("VideoEncoder", encoder).frames
    spans = video_spans(manifest, frames.faces.boxes)
    return lambda row: _safely(
        manifest, row.video, lambda path: _read_video(row, path, spans[row.id], frames, cache)
    )


def readable_items(manifest: Manifest, read: RowReader, positions: Sequence[int]) -> list[Any]:
    """Return what an encoder is given of up to ``PROBE_ROWS`` rows, spread over the positions.

    Rows that cannot be read are left out.

    Args:
        manifest: The corpus.
        read: Reads one row.
        positions: Manifest positions.
    """
    items = []
    for position in positions[:: max(1, len(positions) // PROBE_ROWS)][:PROBE_ROWS]:
        try:
            items.append(read(manifest.row(position)).item)
        except MediaError:
            continue
    return items


def decode_ahead(
    encoder: Encoder,
    manifest: Manifest,
    cache: FrameCache,
    positions: NDArray[np.int64],
    advance: Callable[[int], None],
) -> None:
    """Decode the pictures of some rows into the cache.

    Each file is opened once, however many utterances it holds. Rows that cannot be decoded are left
    to :func:`reader_for`, which says why.

    Args:
        encoder: Says which pictures it takes.
        manifest: The corpus.
        cache: Where the pictures go.
        positions: Manifest positions (n,).
        advance: Called with the number of rows that were just done.
    """
    frames = cast("VideoEncoder", encoder).frames
    _check_root(encoder, manifest)
    ids = manifest.ids
    spans = video_spans(manifest, frames.faces.boxes)
    names = manifest.table["video"]
    rows_of: dict[str, list[int]] = {}
    for position in positions.tolist():
        if lacks_side(spans[str(ids[position])], frames.region):
            advance(1)
            continue
        rows_of.setdefault(str(names.iloc[position]), []).append(position)
    for name, rows in rows_of.items():
        try:
            path = manifest.media_path(name)
        except UnsafePathError:
            advance(len(rows))
            continue
        for _ in cache.read_spans(path, [spans[str(ids[row])] for row in rows], frames):
            advance(1)


def _check_root(encoder: Encoder, manifest: Manifest) -> None:
    if manifest.root is None:
        raise ManifestError(
            f"{encoder.spec.modality} needs the corpus' folder; give it with --root"
        )


def _safely(manifest: Manifest, name: str, read: Callable[[Path], Input]) -> Input:
    """Read; why it cannot be read goes into the store, so that names no place on this disk."""
    place = ""
    try:
        path = manifest.media_path(name)
        place = str(path)
        return read(path)
    except (MediaError, UnsafePathError) as error:
        root = (manifest.root or Path()).resolve()
        reason = str(error).replace(place or "\0", name).replace(f"{root}/", "")
    # Out here the new error has no cause, which would keep what was decoded.
    raise MediaError(reason)


def _read_text(cell: str) -> Input:
    text = cell.strip()
    if not text:
        raise MediaError(
            "the text holds only spaces; fill it in, or leave the cell empty to mark it as missing"
        )
    return Input(text, len(text), hashlib.sha256(text.encode()).hexdigest()[:16])


def _read_audio(row: Utterance, path: Path, encoder: AudioEncoder | FeatureEncoder) -> Input:
    from extract.media.sound import load_audio, require_duration

    clip = load_audio(
        path,
        sample_rate=encoder.spec.sample_rate or 16_000,
        start_s=_time(row.start_s),
        end_s=_time(row.end_s),
        max_duration_s=encoder.max_duration_s,
        long_rule=encoder.long_rule,
    )
    require_duration(clip, encoder.spec.min_duration_s)
    caution = ""
    if clip.peak == 0:
        caution = "silent: every sample is zero, so the vector says nothing about the voice"
    elif clip.cut:
        caution = (
            f"cut: the {encoder.long_rule} {clip.duration_s:g} s of it were read, as "
            "--max-duration-s asks"
        )
    digest = hashlib.sha256(np.ascontiguousarray(clip.samples).tobytes()).hexdigest()[:16]
    return Input(clip.samples, len(clip.samples), digest, caution)


def _read_video(
    row: Utterance, path: Path, span: TimeSpan, frames: FrameSettings, cache: FrameCache | None
) -> Input:
    from extract.frames import VideoFile

    refuse_without_side(row.id, span, frames.region)
    if cache is not None:
        clip = cache.read_clip(path, span, frames)
    else:
        with VideoFile(path) as video:
            clip = video.read(span, frames)
    return Input(clip.frames, len(clip.frames), clip.digest, clip.note)


def _time(value_s: float) -> float | None:
    return None if np.isnan(value_s) else float(value_s)
