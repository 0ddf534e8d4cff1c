"""One extraction job with a frozen encoder: a corpus and an encoder in, store files out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embeddings_store.corpus.column_names import head_view
from embeddings_store.corpus.manifest import Manifest, safe_name
from embeddings_store.errors import MediaError, UsageError
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.seen import parse_seen
from extract.encoders.architectures import kind_of
from extract.pipeline.film_parts import require_sides
from extract.pipeline.inputs import RowReader, decode_ahead, readable_items, reader_for
from extract.pipeline.job import (
    PAPER_ENCODERS,
    CorpusSource,
    EncoderChoice,
    StoreTarget,
    encoder_provenance,
    require_inputs,
)
from extract.pipeline.one_reason import refuse_one_reason
from extract.pipeline.threads import MEASURED_FROM, choose_threads, computing_with
from extract.pipeline.write import (
    Advance,
    Dump,
    Notify,
    Summary,
    finished,
    locked,
    summarise,
    write,
)

if TYPE_CHECKING:
    from extract.encoders.base import Encoder, EncoderInput
    from extract.encoders.own_head import OwnHead
    from extract.frames import FrameCache

Settings = tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class FrozenJob:
    """Which vectors to make with an encoder as it is.

    Attributes:
        source: The corpus.
        modality: ``text``, ``audio`` or ``video``.
        encoder: Which encoder, and what it is given.
        target: Where the vectors go.
        retry_failed: Try failed rows of a finished file once more.
        own_head: Make the class scores of the checkpoint's own head, not vectors.
    """

    source: CorpusSource
    modality: str
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    target: StoreTarget = field(default_factory=StoreTarget)
    retry_failed: bool = False
    own_head: bool = False

    @property
    def column(self) -> str:
        """The manifest's column that is encoded."""
        return self.source.column(self.modality)


@dataclass(frozen=True, slots=True)
class PreparedExtraction:
    """A job with its corpus read and its encoder loaded.

    Attributes:
        dump: What will be written where.
        encoder: The loaded encoder.
        cache: Of decoded pictures; none for other modalities, or where it is switched off.
        head: The checkpoint's own head, where its scores are made and not vectors.
        threads: With how many a CPU computes; 0 measures it.
    """

    dump: Dump
    encoder: Encoder
    cache: FrameCache | None = None
    head: OwnHead | None = None
    threads: int = 0

    @property
    def maker(self) -> Encoder | OwnHead:
        """What makes the numbers."""
        return self.head or self.encoder

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return not finished(self.dump)


def prepare_extraction(job: FrozenJob, manifest: Manifest | None = None) -> PreparedExtraction:
    """Read the corpus and load the encoder; nothing is written.

    Args:
        job: What to do.
        manifest: The job's corpus, for callers that have read it already.

    Raises:
        ProjectError: The corpus, the encoder or an option is not as it must be.
    """
    from extract.encoders import load_encoder

    if job.modality not in PAPER_ENCODERS:
        raise UsageError(
            f"modality {job.modality!r} has no frozen extraction yet; there is "
            f"{', '.join(PAPER_ENCODERS)}"
        )
    # Before the corpus is read, which may take minutes: a misspelt name shows at once.
    resolved = job.encoder.resolve(job.source, job.modality)
    if manifest is None:
        manifest = job.source.read()
    require_inputs(manifest, job.modality, job.column)
    if job.modality == "video":
        require_sides(manifest, job.encoder.inputs.frames.region)
    options = job.encoder.options
    encoder = load_encoder(
        resolved,
        layer=options.layer,
        pooling=options.pooling,
        device=options.device,
        batch_size=options.batch_size,
        inputs=job.encoder.inputs,
        precision=options.precision,
    )
    head = _own_head(encoder) if job.own_head else None
    maker = head or encoder
    refs, settings = _of_head(job, head) if head else _of_layers(job, encoder)
    seen = job.encoder.seen_by(encoder)
    dump = Dump(
        job.target.folder,
        manifest,
        job.column,
        refs,
        settings,
        parse_seen(seen, manifest),
        attributes={"seen_spec": seen, "weights_digest": maker.weights_digest},
        provenance=encoder_provenance(encoder, resolved),
        overwrite=job.target.overwrite,
        retry_failed=job.retry_failed,
    )
    cache = job.target.open_cache(job.modality)
    return PreparedExtraction(dump, encoder, cache, head, options.threads)


def run_frozen(prepared: PreparedExtraction, notify: Notify, advance: Advance) -> Summary:
    """Make what is not there yet; returns at once where everything is.

    Args:
        prepared: The job.
        notify: Called with each sentence that a user should read.
        advance: Called with the number of rows that were just finished.

    Raises:
        MediaError: Every row fails for one reason; nothing is written.
        StoreBusyError: Another process makes the same vectors.
        StoreMismatchError: The store holds another corpus of this name, or vectors of other inputs.
        StoreFullError: The disk is full; finished rows are safe.
    """
    dump, encoder, cache = prepared.dump, prepared.encoder, prepared.cache
    read = reader_for(encoder, dump.manifest, cache, dump.modality)
    if prepared.pending:
        refuse_one_reason(read, dump.manifest, np.flatnonzero(dump.present).tolist())
    with locked(dump):
        if not prepared.pending:
            shutil.rmtree(dump.running, ignore_errors=True)  # What a kill at the very end left.
            return summarise(dump)
        if cache is not None:
            rows = np.flatnonzero(dump.present)
            decode_ahead(encoder, dump.manifest, cache, rows, lambda count: None)
        with computing_with(_threads(prepared, read, notify)):
            return write(dump, prepared.maker, read, notify, advance)


def _threads(prepared: PreparedExtraction, read: RowReader, notify: Notify) -> int:
    """Return with how many threads to compute; 0 leaves them as they are."""
    if prepared.threads or prepared.encoder.device.type != "cpu":
        return prepared.threads
    dump = prepared.dump
    rows = np.flatnonzero(dump.present)[len(dump.shards().finished()) :].tolist()
    family = kind_of(prepared.encoder.spec.architecture).family
    if len(rows) < MEASURED_FROM or family == "features":  # which PyTorch does not compute
        return 0
    found = readable_items(dump.manifest, read, rows)
    items = [item for item in found if _is_taken(prepared.encoder, item)]
    if not items:
        return 0
    threads, sentence = choose_threads(prepared.maker, items)
    prepared.encoder.forget_remarks()
    if sentence:
        notify(sentence)
    return threads


def _is_taken(encoder: Encoder, item: EncoderInput) -> bool:
    """Say whether the encoder takes an input, which may be too short for it."""
    try:
        encoder.prepare(item)
    except MediaError:
        return False
    return True


def _own_head(encoder: Encoder) -> OwnHead:
    from extract.encoders.own_head import load_own_head

    return load_own_head(encoder)


def _of_layers(job: FrozenJob, encoder: Encoder) -> tuple[tuple[EncoderRef, ...], Settings]:
    """Return a reference and everything that changes a vector, for each layer."""
    settings = tuple(_layer_settings(job, encoder, layer) for layer in encoder.layers)
    refs = []
    for layer, described in zip(encoder.layers, settings, strict=True):
        name = safe_name(encoder.spec.name)
        if layer != encoder.spec.layers:
            name = f"{name}.L{layer}"
        refs.append(EncoderRef(name, fingerprint(described), job.column, layer))
    return tuple(refs), settings


def _of_head(job: FrozenJob, head: OwnHead) -> tuple[tuple[EncoderRef, ...], Settings]:
    """Return the reference of the head's scores, which are a view of their own."""
    described = {
        **head.settings,
        **job.source.settings(),
        "weights_digest": head.weights_digest,
    }
    name = f"{safe_name(head.encoder.spec.name)}.own-head"
    ref = EncoderRef(name, fingerprint(described), head_view(job.column))
    return (ref,), (described,)


def _layer_settings(job: FrozenJob, encoder: Encoder, layer: int) -> dict[str, object]:
    """Return everything that changes a vector of one layer; the fingerprint is made of it."""
    return {
        **encoder.settings,
        **job.source.settings(),
        "weights_digest": encoder.weights_digest,
        "layer": layer,
    }
