"""One extraction job with a frozen encoder: a corpus and an encoder in, store files out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings_store.arrays import EncoderRef
from embeddings_store.columns import numbers
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from embeddings_store.manifest import MEDIA, Manifest, safe_name
from embeddings_store.provenance import fingerprint
from embeddings_store.seen import parse_seen
from extract import dump
from extract.corpora import READERS, read_corpus
from extract.inputs import decode_ahead, reader_for

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.frames import FrameCache

# The choices of Tables 1 to 3.
PAPER_ENCODERS = {"text": "bert-base-uncased", "audio": "wav2vec2-base", "video": "videomae-base"}


@dataclass(frozen=True, slots=True)
class FrozenJob:
    """Which vectors to make with a frozen encoder; every default of the command stands here.

    Attributes:
        corpus: Name of a reader, see :func:`extract.corpora.corpus_names`.
        root: The release's folder, or the table of ``--corpus manifest``.
        modality: ``text``, ``audio`` or ``video``.
        encoder: Registry name, hub id, or local folder; empty takes the paper's choice for the modality.
        store: The store's folder.
        text_column: With ``text``: a ``meta_*`` column of long text to encode instead; it names the modality in the store.
        corpus_name: Name in the store; empty keeps the reader's.
        corpus_options: The reader's own options.
        layer: ``last``, a number (0 is the input of the first layer), several with commas, or ``all``.
        pooling: Empty takes the one that belongs to the encoder.
        batch_size: 0 chooses by device.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        max_duration_s: Longer clips are cut to this, in seconds; 0 for not at all.
        long_rule: Which part of a longer clip is used: ``first`` or ``middle``.
        max_tokens: Longer transcripts are cut to this.
        frame_rule: How pictures are drawn from a span, see :class:`extract.frames.FrameSettings`.
        region: Which part of the picture is used, see there.
        frame_cache: Folder of decoded pictures; none puts it into the store.
        frame_cache_gb: Its size in 10^9 bytes; 0 decodes each time.
        seen: What the encoder knows of the rows, see :func:`embeddings_store.seen.parse_seen`; empty means ``none``, or
            ``unknown`` where the checkpoint has a classifier, which says that it was trained on labels.
        overwrite: Make the vectors again even if they are there.
        retry_failed: Try failed rows of a finished file once more.
    """

    corpus: str
    root: Path
    modality: str
    encoder: str = ""
    store: Path = Path("embeddings")
    text_column: str = ""
    corpus_name: str = ""
    corpus_options: Mapping[str, str] = field(default_factory=dict)
    layer: str = "last"
    pooling: str = ""
    batch_size: int = 0
    device: str = "auto"
    max_duration_s: float = 10.0
    long_rule: str = "first"
    max_tokens: int = 128
    frame_rule: str = "uniform"
    region: str = "full"
    frame_cache: Path | None = None
    frame_cache_gb: float = 20.0
    seen: str = ""
    overwrite: bool = False
    retry_failed: bool = False

    @property
    def column(self) -> str:
        """The manifest's column that is encoded."""
        return self.text_column or self.modality


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job with its corpus read and its encoder loaded.

    Attributes:
        dump: What will be written where.
        encoder: The loaded encoder.
        cache: Of decoded pictures; none for other modalities, or where it is switched off.
        pending: Whether there is anything to do.
    """

    dump: dump.Dump
    encoder: Encoder
    cache: FrameCache | None = None

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return not dump.finished(self.dump)


def prepare(job: FrozenJob) -> Prepared:
    """Read the corpus and load the encoder; nothing is written.

    Raises:
        ProjectError: The corpus, the encoder or an option is not as it must be.
    """
    from extract.encoders import load_encoder, resolve
    from extract.frames.settings import FrameSettings

    if job.modality not in PAPER_ENCODERS:
        raise UsageError(f"modality {job.modality!r} has no frozen extraction yet; there is {', '.join(PAPER_ENCODERS)}")
    resolved = resolve(job.encoder or default_encoder(job.corpus, job.root, job.modality), job.modality)
    manifest = read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    require_inputs(manifest, job.modality, job.column)
    encoder = load_encoder(resolved, layer=parse_layer(job.layer), pooling=job.pooling or None, device=job.device,
                           batch_size=job.batch_size or None, max_duration_s=job.max_duration_s or None,
                           long_rule=job.long_rule, max_tokens=job.max_tokens,
                           frames=FrameSettings(rule=job.frame_rule, region=job.region))
    spec = job.seen or ("unknown" if encoder.likely_finetuned else "none")
    read = {"text_column": job.text_column} if job.text_column else {}
    settings = tuple({**encoder.settings, **read, "weights_digest": encoder.weights_digest, "layer": layer}
                     for layer in encoder.layers)
    name = safe_name(encoder.spec.name)
    refs = tuple(EncoderRef(name if layer == encoder.spec.layers else f"{name}.L{layer}", fingerprint(s), job.column, layer)
                 for layer, s in zip(encoder.layers, settings, strict=True))
    return Prepared(dump.Dump(
        job.store, manifest, job.column, refs, settings, parse_seen(spec, manifest),
        attributes={"seen_spec": spec, "weights_digest": encoder.weights_digest},
        provenance=encoder_provenance(encoder, Path(resolved.source).name if resolved.is_local else resolved.source),
        overwrite=job.overwrite, retry_failed=job.retry_failed), encoder, frame_cache(job))


def run_frozen(prepared: Prepared, say: dump.Say, advance: dump.Advance) -> dump.Summary:
    """Make what is not there yet; returns at once where everything is.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreMismatchError: The store holds another corpus of this name, or vectors of other inputs.
        StoreFullError: The disk is full; finished rows are safe.
    """
    with dump.locked(prepared.dump):
        if not prepared.pending:
            shutil.rmtree(prepared.dump.running, ignore_errors=True)  # What a kill at the very end left.
            return dump.summarise(prepared.dump)
        read = reader_for(prepared.encoder, prepared.dump.manifest, prepared.cache,
                          prepared.dump.modality)
        if prepared.cache is not None:
            rows = np.flatnonzero(prepared.dump.present)
            decode_ahead(prepared.encoder, prepared.dump.manifest, prepared.cache, rows, lambda n: None)
        return dump.write(prepared.dump, prepared.encoder, read, say, advance)


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
        raise ManifestError(f"no row of corpus {manifest.name!r} has {modality}; it has {', '.join(has) or 'no media'}")


def _check_text_column(manifest: Manifest, modality: str, column: str) -> None:
    if modality != "text":
        raise UsageError(f"--text-column {column} is read by a text encoder; use it with --modality text")
    known = [str(c) for c in manifest.table.columns if str(c).startswith("meta_")]
    if column not in known:
        unknown_name("metadata column", column, known)
    if numbers(manifest.table[column]) is not None:
        raise UsageError(f"{column} holds numbers, not text; the grid makes a vector of it: run-fusion-grid --metadata {column}")
    if not manifest.has(column):
        raise ManifestError(f"no row of corpus {manifest.name!r} has anything in {column}")


def encoder_provenance(encoder: Encoder, source: str) -> dict[str, object]:
    """Say where the weights came from and what was found in the checkpoint."""
    return {"encoder_source": source, "revision": encoder.revision, "licence": encoder.spec.licence,
            "loading_report": {kind: list(keys) for kind, keys in encoder.loading_report.items()}, "device": encoder.device.type}


def parse_layer(text: str) -> str | int | list[int]:
    """Turn ``last``, ``all``, ``3`` or ``0,3`` into what :func:`extract.encoders.load_encoder` takes.

    >>> parse_layer("all"), parse_layer("3"), parse_layer("0,3")
    ('all', 3, [0, 3])
    """
    if text in {"last", "all"}:
        return text
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--layer {text!r} is neither last, all, a number, nor numbers with commas") from error
    return numbers[0] if len(numbers) == 1 else numbers
