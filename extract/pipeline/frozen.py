"""One extraction job with a frozen encoder: a corpus and an encoder in, store files out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.manifest import safe_name
from embeddings_store.errors import UsageError
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.seen import parse_seen
from extract.pipeline import write as dump
from extract.pipeline.inputs import decode_ahead, reader_for
from extract.pipeline.job import (
    PAPER_ENCODERS,
    default_encoder,
    encoder_provenance,
    frame_cache,
    read_manifest,
    require_inputs,
)

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.frames import FrameCache


@dataclass(frozen=True, slots=True)
class FrozenJob:
    """Which vectors to make with a frozen encoder; every default of the command stands here.

    Attributes:
        corpus: Name of a reader, see :func:`extract.corpora.corpus_names`.
        root: The release's folder, or the table of ``--corpus manifest``.
        modality: ``text``, ``audio`` or ``video``.
        encoder: Registry name, hub id, or local folder; empty takes the paper's choice for the
            modality.
        store: The store's folder.
        text_column: With ``text``: a ``meta_*`` column of long text to encode instead; it names the
            modality in the store.
        corpus_name: Name in the store; empty keeps the reader's.
        corpus_options: The reader's own options.
        layer: ``last``, a number (0 is the input of the first layer), several with commas, or
            ``all``.
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
        seen: What the encoder knows of the rows, see
            :func:`embeddings_store.vectors.seen.parse_seen`; empty means ``none``, or ``unknown``
            where the checkpoint has a classifier, which says that it was trained on labels.
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
    from extract.encoders import InputSettings, load_encoder, resolve
    from extract.frames.settings import FrameSettings

    if job.modality not in PAPER_ENCODERS:
        raise UsageError(
            f"modality {job.modality!r} has no frozen extraction yet; there is "
            f"{', '.join(PAPER_ENCODERS)}"
        )
    resolved = resolve(
        job.encoder or default_encoder(job.corpus, job.root, job.modality), job.modality
    )
    manifest = read_manifest(job.corpus, job.root, job.corpus_options, job.corpus_name)
    require_inputs(manifest, job.modality, job.column)
    encoder = load_encoder(
        resolved,
        layer=parse_layer(job.layer),
        pooling=job.pooling or None,
        device=job.device,
        batch_size=job.batch_size or None,
        inputs=InputSettings(
            job.max_duration_s or None,
            job.long_rule,
            job.max_tokens,
            FrameSettings(rule=job.frame_rule, region=job.region),
        ),
    )
    spec = job.seen or ("unknown" if encoder.likely_finetuned else "none")
    read = {"text_column": job.text_column} if job.text_column else {}
    settings = tuple(
        {**encoder.settings, **read, "weights_digest": encoder.weights_digest, "layer": layer}
        for layer in encoder.layers
    )
    name = safe_name(encoder.spec.name)
    refs = tuple(
        EncoderRef(
            name if layer == encoder.spec.layers else f"{name}.L{layer}",
            fingerprint(s),
            job.column,
            layer,
        )
        for layer, s in zip(encoder.layers, settings, strict=True)
    )
    return Prepared(
        dump.Dump(
            job.store,
            manifest,
            job.column,
            refs,
            settings,
            parse_seen(spec, manifest),
            attributes={"seen_spec": spec, "weights_digest": encoder.weights_digest},
            provenance=encoder_provenance(
                encoder, Path(resolved.source).name if resolved.is_local else resolved.source
            ),
            overwrite=job.overwrite,
            retry_failed=job.retry_failed,
        ),
        encoder,
        frame_cache(job),
    )


def run_frozen(prepared: Prepared, say: dump.Say, advance: dump.Advance) -> dump.Summary:
    """Make what is not there yet; returns at once where everything is.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreMismatchError: The store holds another corpus of this name, or vectors of other inputs.
        StoreFullError: The disk is full; finished rows are safe.
    """
    with dump.locked(prepared.dump):
        if not prepared.pending:
            shutil.rmtree(
                prepared.dump.running, ignore_errors=True
            )  # What a kill at the very end left.
            return dump.summarise(prepared.dump)
        read = reader_for(
            prepared.encoder, prepared.dump.manifest, prepared.cache, prepared.dump.modality
        )
        if prepared.cache is not None:
            rows = np.flatnonzero(prepared.dump.present)
            decode_ahead(
                prepared.encoder, prepared.dump.manifest, prepared.cache, rows, lambda n: None
            )
        return dump.write(prepared.dump, prepared.encoder, read, say, advance)


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
        raise UsageError(
            f"--layer {text!r} is neither last, all, a number, nor numbers with commas"
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers
