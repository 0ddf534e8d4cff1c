"""From a manifest row to what an encoder is given.

A transcript, the samples of a clip, or its pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest, Utterance, resolve_media
from embeddings_store.errors import ManifestError, MediaError, UnsafePathError

if TYPE_CHECKING:
    from pathlib import Path

    from extract.encoders.base import Encoder
    from extract.frames import FrameCache, TimeSpan


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
    root = _root(encoder, manifest)
    if encoder.spec.modality == "audio":
        return lambda row: _safely(lambda: _read_audio(row, root, encoder), root)
    spans = video_spans(manifest)
    return lambda row: _safely(lambda: _read_video(row, root, spans[row.id], encoder, cache), root)


def decode_ahead(
    encoder: Encoder,
    manifest: Manifest,
    cache: FrameCache,
    positions: NDArray[np.int64],
    advance: Callable[[int], None],
) -> None:
    """Decode the pictures of some rows into the cache, opening each file once however many utterances it holds.

    Rows that cannot be decoded are left to :func:`reader_for`, which says why.
    """
    root, spans, ids = _root(encoder, manifest), video_spans(manifest), manifest.ids
    by_file: dict[str, list[int]] = {}
    for position in positions.tolist():
        by_file.setdefault(str(manifest.table["video"].iloc[position]), []).append(position)
    for name, rows in by_file.items():
        try:
            path = resolve_media(root, name)
        except UnsafePathError:
            advance(len(rows))
            continue
        for _ in cache.read_spans(path, [spans[str(ids[row])] for row in rows], encoder.frames):
            advance(1)


def video_spans(manifest: Manifest) -> dict[str, TimeSpan]:
    """Return id to the part of its video.

    ``meta_video_start_s``, ``_end_s`` and ``_side`` where the reader gives them.

    A corpus such as IEMOCAP has the sound cut into utterances and the picture not, so the two have
    times of their own; other corpora share ``start_s`` and ``end_s``.
    """
    from extract.frames import TimeSpan

    table = manifest.table
    own = "meta_video_start_s" in table
    starts = table["meta_video_start_s" if own else "start_s"].to_numpy(dtype=np.float64)
    ends = table["meta_video_end_s" if own else "end_s"].to_numpy(dtype=np.float64)
    sides = (
        table["meta_video_side"].astype(str) if "meta_video_side" in table else [""] * len(table)
    )
    return {
        name: TimeSpan(_time(start), _time(end), side if side in {"left", "right"} else "")
        for name, start, end, side in zip(manifest.ids.tolist(), starts, ends, sides, strict=True)
    }


def _root(encoder: Encoder, manifest: Manifest) -> Path:
    if manifest.root is None:
        raise ManifestError(
            f"{encoder.spec.modality} needs the corpus' folder; give it with --root"
        )
    return manifest.root


def _safely(read: Callable[[], Input], root: Path) -> Input:
    """Read, and keep the place of the user's corpus out of the reason, which goes into the store."""
    try:
        return read()
    except (MediaError, UnsafePathError) as error:
        raise MediaError(str(error).replace(f"{root.resolve()}/", "")) from error


def _read_text(cell: str) -> Input:
    text = cell.strip()
    if not text:
        raise MediaError(
            "the text holds only spaces; fill it in, or leave the cell empty to mark it as missing"
        )
    return Input(text, len(text), hashlib.sha256(text.encode()).hexdigest()[:16])


def _read_audio(row: Utterance, root: Path, encoder: Encoder) -> Input:
    from extract.media.sound import load_audio, require_duration

    clip = load_audio(
        resolve_media(root, row.audio),
        sample_rate=encoder.spec.sample_rate or 16_000,
        start_s=_time(row.start_s),
        end_s=_time(row.end_s),
        max_duration_s=encoder.max_duration_s,
        long_rule=encoder.long_rule,
    )
    require_duration(clip, encoder.spec.min_duration_s)
    caution = (
        "silent: every sample is zero, so the vector says nothing about the voice"
        if clip.peak == 0
        else ""
    )
    digest = hashlib.sha256(np.ascontiguousarray(clip.samples).tobytes()).hexdigest()[:16]
    return Input(clip.samples, len(clip.samples), digest, caution)


def _read_video(
    row: Utterance, root: Path, span: TimeSpan, encoder: Encoder, cache: FrameCache | None
) -> Input:
    from extract.frames import read_clip

    path = resolve_media(root, row.video)
    if cache is not None:
        clip = cache.read_clip(path, span, encoder.frames)
    else:
        clip = read_clip(
            path, start_s=span.start_s, end_s=span.end_s, side=span.side, settings=encoder.frames
        )
    return Input(clip.frames, len(clip.frames), clip.digest, clip.note)


def _time(value_s: float) -> float | None:
    return None if np.isnan(value_s) else float(value_s)
