"""Which views a run has: modalities, the encoders that stand for them, and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classify.grid.config import GridConfig
from classify.grid.cross_fitting import inner_sets
from classify.leakage.case import named_views
from classify.metadata import (
    BANNED,
    METADATA,
    MetadataColumns,
    catalogue_entry,
    choose_columns,
)
from classify.names import AS_VIEWS, HEAD, OOF, PROBE, VALID
from classify.systems.joined_views import JoinedViews, join_layers
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.folds.setup import Setup
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import (
    CHOOSE_LAYER,
    Entry,
    choose_views,
    entries_by_seed,
)
from embeddings_store.vectors.inner_folds import InnerSet
from embeddings_store.vectors.view_names import (
    ViewRequest,
    every_layer,
    named_view_candidates,
    read_view,
)

Candidates = Mapping[str, Sequence[EncoderRef]]  # modality to its encoder, or to several layers


@dataclass(frozen=True, slots=True)
class ViewChoice:
    """The views of a run.

    Attributes:
        entries: The store's files, and the views that are made of metadata columns.
        metadata: The views that are metadata.
        replicas: For each seed of the fine-tuning, modality to candidates; one where no seed was
            asked for.
        inner: For each seed of the fine-tuning, modality to the encoders of its inner folds; none
            unless ``oof`` needs them.
        layers_as: What stands for a modality of several layers.
    """

    entries: Sequence[Entry]
    metadata: tuple[MetadataColumns, ...]
    replicas: Sequence[Candidates]
    inner: Sequence[Mapping[str, InnerSet] | None]
    layers_as: str = AS_VIEWS

    @property
    def candidates(self) -> Candidates:
        """Those of the first seed; other seeds have the same modalities and layers."""
        return self.replicas[0]

    @property
    def joined(self) -> tuple[JoinedViews, ...]:
        """Layers that stand for their modality as one; none where each stands by itself."""
        if self.layers_as == AS_VIEWS:
            return ()
        modality_of = {view: refs[0].modality for view, refs in self.candidates.items()}
        return join_layers(modality_of, self.layers_as)

    @property
    def metadata_columns(self) -> list[str]:
        """The metadata columns that a classifier is given."""
        columns: list[str] = []
        for chosen in self.metadata:
            if chosen.view in self.candidates:
                columns += chosen.columns
        return columns

    def scores_from(self) -> dict[str, str]:
        """Return ``head`` for each modality whose files all have class scores, else ``probe``."""
        sources = {}
        for modality in self.candidates:
            used: set[EncoderRef] = set()
            for candidates in self.replicas:
                used.update(candidates[modality])
            scored = [entry.has_scores for entry in self.entries if entry.ref in used]
            sources[modality] = HEAD if all(scored) else PROBE
        return sources

    def widths(self) -> dict[str, int]:
        """Return modality to the number of columns of its vectors; all layers have as many."""
        dims: dict[EncoderRef, int] = {}
        for entry in self.entries:
            dims.setdefault(entry.ref, entry.dim)
        return {modality: dims[refs[0]] for modality, refs in self.candidates.items()}

    def stored(self) -> dict[str, EncoderRef]:
        """Name every encoder whose vectors are files, all layers and seeds."""
        made = {chosen.view for chosen in self.metadata}
        refs: list[EncoderRef] = []
        for candidates in self.replicas:
            for view, layers in candidates.items():
                if view not in made:
                    refs += layers
        return named_views(refs)

    def leaky_columns(self, manifest: Manifest) -> tuple[str, ...]:
        """Return the metadata columns in use that may explain the label."""
        used = set(self.metadata_columns)
        for refs in self.candidates.values():
            used.update(ref.modality for ref in refs)  # a view may have a name of its own
        return tuple(column for column in manifest.tagged(*BANNED) if column in used)


def choose_run_views(
    config: GridConfig, manifest: Manifest, setup: Setup, stored: Sequence[Entry], notes: list[str]
) -> ViewChoice:
    """Choose modalities, encoders and metadata.

    Args:
        config: What was asked for.
        manifest: The corpus.
        setup: Its fold plan, for inner encoders.
        stored: The store's files.
        notes: Where to say what was left out.

    Raises:
        UsageError: A name does not exist, or several encoders fit.
        StoreNotFoundError: Inner encoders are not there.
    """
    metadata = _metadata(config, manifest, stored, notes)
    folder = config.store / manifest.name
    entries = [*stored, *(catalogue_entry(manifest, chosen, folder) for chosen in metadata)]
    modalities = () if config.views else _modalities(config, manifest, entries, notes)
    replicas = _replicas(config, entries, modalities)
    inner: list[Mapping[str, InnerSet] | None] = [None] * len(replicas)
    if config.fit_rows == OOF:
        numbers = [fold.number for fold in setup.plan]
        inner = [inner_sets(entries, refs, numbers, config.inner_folds) for refs in replicas]
    return ViewChoice(entries, metadata, replicas, inner, config.layers_as)


def _metadata(
    config: GridConfig, manifest: Manifest, stored: Sequence[Entry], notes: list[str]
) -> tuple[MetadataColumns, ...]:
    has_vectors = METADATA in {entry.ref.modality for entry in stored}
    if not config.metadata:
        if METADATA in config.modalities and not has_vectors:
            raise UsageError(
                f"the modality {METADATA} is made of columns; say which, for example --metadata "
                "safe"
            )
        return ()
    if has_vectors:
        raise UsageError(
            f"the store has vectors of a modality called {METADATA} already; leave out --metadata "
            "to use them"
        )
    chosen = choose_columns(manifest, config.metadata)
    with_tags = [f"{column} ({manifest.tag(column)})" for column in chosen.columns]
    notes.append(f"metadata is {', '.join(with_tags)}")
    if chosen.left_out:
        notes.append(
            f"left out of metadata: {', '.join(chosen.left_out)}, which are text; "
            "extract-features --modality text --text-column NAME makes vectors of them"
        )
    return (chosen,)


def _modalities(
    config: GridConfig, manifest: Manifest, entries: Sequence[Entry], notes: list[str]
) -> tuple[str, ...]:
    """Return what was named, else all that may be used without being named.

    Metadata stands last.
    """
    if config.modalities:
        last = (METADATA,) if config.metadata and METADATA not in config.modalities else ()
        return (*config.modalities, *last)
    known = sorted({entry.ref.modality for entry in entries})
    if config.metadata:
        known.remove(METADATA)
        known.append(METADATA)
    tagged = manifest.tagged(*BANNED)
    banned = [modality for modality in known if modality in tagged]
    if banned:
        notes.append(
            f"left out: {', '.join(banned)}, whose leak tag is {' or '.join(BANNED)}; name them "
            "with --modalities to use them all the same"
        )
    return tuple(modality for modality in known if modality not in banned)


def _replicas(
    config: GridConfig, entries: Sequence[Entry], modalities: Sequence[str]
) -> list[dict[str, list[EncoderRef]]]:
    """Return the views once for each seed of the fine-tuning.

    One dictionary where no seed is asked for.
    """

    def of_seed(there: Sequence[Entry]) -> dict[str, list[EncoderRef]]:
        requests = [read_view(text) for text in config.views]
        if config.layers:
            requests = every_layer(there, modalities, config.encoders, config.layers)
        if requests:
            return named_view_candidates(there, [*requests, *_metadata_view(config)])
        return choose_views(
            there,
            modalities=modalities,
            encoders=config.encoders,
            layer=CHOOSE_LAYER if config.layer == VALID else config.layer,
        )

    if config.encoder_seeds is None:
        return [of_seed(entries)]
    asked = [read_view(text).modality for text in config.views] or modalities
    by_seed = entries_by_seed(
        entries, config.encoder_seeds, modalities=asked, encoders=config.encoders
    )
    return [of_seed(there) for there in by_seed.values()]


def _metadata_view(config: GridConfig) -> list[ViewRequest]:
    """Return the view of metadata columns where ``--view`` does not name it itself."""
    named = [request for request in map(read_view, config.views) if request.modality == METADATA]
    if config.metadata and any(request.name != METADATA for request in named):
        raise UsageError(
            f"the view of metadata columns is called {METADATA}; write --view metadata"
        )
    wanted = bool(config.metadata) and bool(config.views) and not named
    return [ViewRequest(METADATA, METADATA)] if wanted else []
