"""All labelled rows of a corpus that a bundle is fitted on, and what it remembers of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.bundle.bundle import BundleEncoder
from classify.bundle.folder import ENCODERS
from classify.bundle.seen_rows import SeenRows
from classify.bundle.training_facts import training_facts
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.errors import FoldError, UsageError
from embeddings_store.folds.apart import learning_groups
from embeddings_store.folds.setup import Setup
from embeddings_store.vectors.arrays import SCORED_ROLES, EncoderRef, StoredRows
from embeddings_store.vectors.catalogue import Entry
from embeddings_store.vectors.fold_data import RoleData
from embeddings_store.vectors.fold_files import FINAL, FoldFiles
from embeddings_store.vectors.hdf5 import read_arranged


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """What a bundle is fitted on.

    Attributes:
        data: The rows, in the order of their ids.
        encoders: One for each view.
        seen: What the bundle remembers of them.
        speakers: Who speaks in each (n,), empty where nobody knows.
        facts: How long rows last, and their languages: see :mod:`classify.bundle.training_facts`.
    """

    data: RoleData
    encoders: tuple[BundleEncoder, ...]
    seen: SeenRows
    speakers: NDArray[np.str_]
    facts: Mapping[str, str]


def load_labelled_rows(
    store: Path, entries: Mapping[str, Entry], setup: Setup, labels: LabelSet
) -> LabelledRows:
    """Load every row that has a label, a role in some fold, and one of the views.

    Args:
        store: The store's folder.
        entries: View to its file there; each serves every fold, or is of fold ``final``.
        setup: The corpus under the protocol, whose folds say which rows it is about.
        labels: The label set.

    Raises:
        UsageError: An encoder was fitted on rows of the corpus, and not in fold ``final``.
        FoldError: No row is left, or none of a class.
        StoreError: A file is damaged or of something else.
    """
    manifest, files = setup.view, {}
    reader = FoldFiles(store, manifest, setup.plan, next(iter(setup.plan)), labels, None)
    for view, entry in entries.items():
        if entry.fold == FINAL:
            files[view] = reader.read_final(entry.ref)
            continue
        files[view] = reader.read(entry.ref)
        _refuse_fitted(view, files[view])
    codes = labels.encode(manifest.column("label"))
    has_view = np.logical_or.reduce([file.ok for file in files.values()])
    has_role = np.zeros(len(codes), dtype=bool)
    for each in setup.plan:
        for role in SCORED_ROLES:
            has_role |= each.mask(role)
    places = np.flatnonzero((codes >= 0) & has_view & has_role)
    places = places[np.argsort(manifest.ids[places], kind="stable")]
    absent = [name for code, name in enumerate(labels.classes) if code not in codes[places]]
    if absent:
        raise FoldError(
            f"corpus {manifest.name!r} has no row of class {absent[0]!r} with a label and a "
            "vector, so no model can learn it; use a label set without this class"
        )
    speakers = manifest.named("speaker")[places]
    inputs = {}
    for view, file in files.items():
        inputs[view] = [] if file.inputs is None else file.inputs[places].tolist()
    data = RoleData(
        ids=manifest.ids[places],
        y=codes[places],
        groups=learning_groups(manifest, setup.plan.name)[places],
        vectors={view: read_arranged(file, places) for view, file in files.items()},
        scores={},
        present={view: file.ok[places] for view, file in files.items()},
        fitted=np.logical_or.reduce([file.seen[places] == "fit" for file in files.values()]),
    )
    ids = data.ids.tolist()
    seen = SeenRows.of(manifest.name, ids, speakers.tolist(), inputs)
    widths = {view: int(vectors.shape[1]) for view, vectors in data.vectors.items()}
    encoders = tuple(
        _encoder(view, file, widths[view], f"{ENCODERS}/{place}" if file.fold == FINAL else "")
        for place, (view, file) in enumerate(files.items())
    )
    return LabelledRows(data, encoders, seen, speakers, training_facts(manifest, places))


def _refuse_fitted(view: str, file: StoredRows) -> None:
    trained = file.fold != "any" or np.isin(file.seen, ("fit", "select")).any()
    if trained:
        raise UsageError(
            f"the {view} encoder {file.encoder.folder} was fitted on rows of this corpus outside "
            "of this project's folds, so nobody knows on which; export a system over frozen "
            "encoders that have not seen it, or over some that extract-features fine-tuned"
        )


def _encoder(view: str, file: StoredRows, width: int, own: str) -> BundleEncoder:
    attributes = file.attributes
    settings, provenance = attributes.get("settings"), attributes.get("provenance")
    made = provenance if isinstance(provenance, dict) else {}
    ref = EncoderRef(
        file.encoder.name, file.encoder.fingerprint, file.encoder.modality, file.encoder.layer
    )
    return BundleEncoder(
        view,
        ref,
        width,
        settings if isinstance(settings, dict) else {},
        str(attributes.get("weights_digest", "")),
        str(made.get("encoder_source", "")),
        str(made.get("revision", "")),
        str(made.get("licence", "")),
        own,
    )
