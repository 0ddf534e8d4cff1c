"""What frozen and fine-tuned jobs share: corpus, encoder, input limits, frame cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings_store.corpus.columns import numbers
from embeddings_store.corpus.manifest import MEDIA, Manifest
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from extract.corpora import READERS, read_corpus

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.frames import FrameCache

# The choices of Tables 1 to 3.
PAPER_ENCODERS = {"text": "bert-base-uncased", "audio": "wav2vec2-base", "video": "videomae-base"}


def frame_cache(job: Any) -> FrameCache | None:
    """Return the cache of a job's decoded pictures, none for other modalities or where it is switched off."""
    if job.modality != "video" or not job.frame_cache_gb:
        return None
    from extract.frames import FrameCache

    return FrameCache(job.frame_cache or job.store / ".frames", job.frame_cache_gb)


def read_manifest(corpus: str, root: Path, options: Mapping[str, str], name: str) -> Manifest:
    """Read a corpus, under another name in the store if one is given."""
    manifest = read_corpus(corpus, root, **options)
    return replace(manifest, name=name) if name else manifest


def default_encoder(corpus: str, root: Path, modality: str) -> str:
    """Return the encoder that the corpus brings, as the demo does, else the paper's choice for the modality."""
    own = READERS[corpus].own_encoder(root, modality) if corpus in READERS else ""
    return own or PAPER_ENCODERS[modality]


def require_inputs(manifest: Manifest, modality: str, column: str) -> None:
    """Refuse a modality, or a column of long text, that no row has.

    Raises:
        UsageError: The column is no metadata of this corpus, or is not for a text encoder.
        ManifestError: The corpus has other modalities only.
    """
    if column != modality:
        _check_text_column(manifest, modality, column)
        return
    if not manifest.has(modality):
        has = [m for m in MEDIA if manifest.has(m)]
        raise ManifestError(
            f"no row of corpus {manifest.name!r} has {modality}; it has "
            f"{', '.join(has) or 'no media'}"
        )


def _check_text_column(manifest: Manifest, modality: str, column: str) -> None:
    if modality != "text":
        raise UsageError(
            f"--text-column {column} is read by a text encoder; use it with --modality text"
        )
    known = [str(c) for c in manifest.table.columns if str(c).startswith("meta_")]
    if column not in known:
        unknown_name("metadata column", column, known)
    if numbers(manifest.table[column]) is not None:
        raise UsageError(
            f"{column} holds numbers, not text; the grid makes a vector of it: run-fusion-grid "
            f"--metadata {column}"
        )
    if not manifest.has(column):
        raise ManifestError(f"no row of corpus {manifest.name!r} has anything in {column}")


def encoder_provenance(encoder: Encoder, source: str) -> dict[str, object]:
    """Say where the weights came from and what was found in the checkpoint."""
    return {
        "encoder_source": source,
        "revision": encoder.revision,
        "licence": encoder.spec.licence,
        "loading_report": {kind: list(keys) for kind, keys in encoder.loading_report.items()},
        "device": encoder.device.type,
    }
