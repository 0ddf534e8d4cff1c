"""What frozen and fine-tuned jobs are composed of: a corpus, an encoder, and a place in a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.corpus.column_names import MEDIA
from embeddings_store.corpus.columns import numbers
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.corpus.media_paths import other_spellings, refuse_links
from embeddings_store.errors import ManifestError, UsageError, unknown_name
from embeddings_store.progress import progress_bar
from extract.corpora import READERS, read_corpus
from extract.corpora._notes import SPELLING, Notes
from extract.encoders.settings import EncoderOptions, InputSettings
from extract.windows.corpus import CorpusWindows, cut_corpus

if TYPE_CHECKING:
    from extract.encoders.base import Encoder
    from extract.encoders.resolving import ResolvedEncoder
    from extract.frames import FrameCache

# The choices of Tables 1 to 3.
PAPER_ENCODERS = {"text": "bert-base-uncased", "audio": "wav2vec2-base", "video": "videomae-base"}


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """Where a corpus comes from, and under which names it goes into the store.

    Attributes:
        reader: Name of a reader, see :func:`extract.corpora.corpus_names`.
        root: The release's folder, or the table of the reader ``manifest``.
        options: The reader's own options.
        name: Name in the store; empty keeps the reader's.
        text_column: With the modality ``text``: a ``meta_*`` column of long text to encode
            instead; it names the modality in the store.
        follow_links: Whether media may be behind symbolic links that leave the root.
        windows: How its rows are cut; none takes them as they are.
    """

    reader: str
    root: Path
    options: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    text_column: str = ""
    follow_links: bool = False
    windows: CorpusWindows | None = None

    def read(self) -> Manifest:
        """Read the corpus; the manifest has the name that it has in the store."""
        manifest = self._read_whole()
        if self.windows is None:
            return manifest
        with progress_bar(self.windows.work, len(manifest)) as bar:
            return cut_corpus(manifest, self.windows, bar.advance)

    def _read_whole(self) -> Manifest:
        manifest = read_corpus(self.reader, self.root, **self.options)
        notes = _spelling_notes(manifest)
        if not (self.name or notes or self.follow_links):
            return manifest
        return replace(
            manifest,
            name=self.name or manifest.name,
            notes=(*manifest.notes, *notes),
            follow_links=self.follow_links,
        )

    def column(self, modality: str) -> str:
        """Return the manifest's column that is encoded."""
        return self.text_column or modality

    def settings(self) -> dict[str, str]:
        """Return what of this changes a vector, for the fingerprint."""
        return {"text_column": self.text_column} if self.text_column else {}


def _spelling_notes(manifest: Manifest) -> tuple[str, ...]:
    """Say which files are found under a name that spells the same letters in another way."""
    if manifest.root is None:
        return ()
    notes = Notes()
    for medium in ("audio", "video"):
        for path in other_spellings(manifest.table[medium].unique(), manifest.root):
            notes.count(SPELLING, path)
    return notes.lines()


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Which encoder, what it is given, and what it knows.

    Attributes:
        name: Registry name, hub id, or local folder; empty takes the corpus' own encoder, as the
            demo brings some, else the paper's choice for the modality.
        options: Layer, pooling, device and batch size.
        inputs: How long clips and texts are cut, and which pictures are drawn.
        seen: What the encoder knows of the rows, see
            :func:`embeddings_store.vectors.seen.parse_seen`; empty means ``none``, or ``unknown``
            where the checkpoint has a classifier, which says that it was trained on labels.
    """

    name: str = ""
    options: EncoderOptions = field(default_factory=EncoderOptions)
    inputs: InputSettings = field(default_factory=InputSettings)
    seen: str = ""

    def resolve(self, source: CorpusSource, modality: str) -> ResolvedEncoder:
        """Find the encoder; nothing is loaded yet."""
        from extract.encoders import resolve

        name = self.name
        if not name and source.reader in READERS:
            name = READERS[source.reader].own_encoder(source.root, modality)
        return resolve(name or PAPER_ENCODERS[modality], modality)

    def seen_by(self, encoder: Encoder) -> str:
        """Return what the loaded encoder knows of the rows."""
        return self.seen or ("unknown" if encoder.likely_finetuned else "none")


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """Where vectors go, and decoded pictures on their way to them.

    Attributes:
        folder: The store's folder.
        frame_cache: Folder of decoded pictures; none puts it into the store.
        frame_cache_gb: Its size in 10^9 bytes; 0 decodes each time.
        overwrite: Make the vectors again even if they are there.
    """

    folder: Path = Path("embeddings")
    frame_cache: Path | None = None
    frame_cache_gb: float = 20.0
    overwrite: bool = False

    @property
    def cache_folder(self) -> Path:
        """Where decoded pictures lie."""
        return self.frame_cache or self.folder / ".frames"

    def open_cache(self, modality: str) -> FrameCache | None:
        """Return the cache of decoded pictures; none for other modalities, or if it is off."""
        if modality != "video" or not self.frame_cache_gb:
            return None
        from extract.frames import FrameCache

        return FrameCache(self.cache_folder, self.frame_cache_gb)


def require_inputs(manifest: Manifest, modality: str, column: str) -> None:
    """Refuse a modality, or a column of long text, that no row has.

    Args:
        manifest: The corpus.
        modality: ``text``, ``audio`` or ``video``.
        column: What is encoded: the column of that name, or one of metadata.

    Raises:
        UsageError: The column is no metadata of this corpus, or is not for a text encoder.
        ManifestError: The corpus has other modalities only, or its media are behind links.
    """
    if column != modality:
        _check_text_column(manifest, modality, column)
        return
    if not manifest.has(modality):
        present = [medium for medium in MEDIA if manifest.has(medium)]
        raise ManifestError(
            f"no row of corpus {manifest.name!r} has {modality}; it has "
            f"{', '.join(present) or 'no media'}"
        )
    if modality in ("audio", "video") and manifest.root is not None and not manifest.follow_links:
        refuse_links(manifest.root, manifest.table[modality].unique())


def _check_text_column(manifest: Manifest, modality: str, column: str) -> None:
    if modality != "text":
        raise UsageError(
            f"--text-column {column} is read by a text encoder; use it with --modality text"
        )
    columns = map(str, manifest.table.columns)
    known = [name for name in columns if name.startswith("meta_")]
    if column not in known:
        unknown_name("metadata column", column, known)
    if numbers(manifest.table[column]) is not None:
        raise UsageError(
            f"{column} holds numbers, not text; the grid makes a vector of it: run-fusion-grid "
            f"--metadata {column}"
        )
    if not manifest.has(column):
        raise ManifestError(f"no row of corpus {manifest.name!r} has anything in {column}")


def encoder_provenance(encoder: Encoder, resolved: ResolvedEncoder) -> dict[str, object]:
    """Say where the weights came from and what was found in the checkpoint."""
    # The name of a local folder alone: its place on this machine is nobody's business.
    source = Path(resolved.source).name if resolved.is_local else resolved.source
    return {
        "encoder_source": source,
        "revision": encoder.revision,
        "licence": encoder.spec.licence,
        "loading_report": {kind: list(keys) for kind, keys in encoder.loading_report.items()},
        "device": encoder.device.type,
        "configuration": dict(encoder.configuration),
    }
