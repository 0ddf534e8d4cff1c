"""Metadata as a modality.

A corpus' raw ``meta_*`` columns become a vector, fitted on a fold's training rows alone.

Every column of a manifest carries a tag that says whether it may be used:

===========  ===================================================================================
tag          what it means
===========  ===================================================================================
``safe``     known of the speaker beforehand: age, gender, timbre
``context``  known before the utterance is heard: topic, dialogue history
``leaky``    written by somebody who knew the label: raters' arousal, the cause of the emotion
``unknown``  nobody said; treated like ``leaky``
===========  ===================================================================================

Numbers are standardised, a missing one becomes the training median and a column says so. Words of
at most :data:`MOST_CATEGORIES` kinds become one column per kind that the training rows hold
(another kind is all zeros, nothing given is a kind of its own). Anything longer is text and belongs
to a text encoder: ``extract-features --modality text --text-column``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.columns import LEAK_TAGS, UNTAGGED, numbers
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, UsageError, unknown_name
from embeddings_store.fold_request import FoldRequest
from embeddings_store.load import load_fold
from embeddings_store.provenance import fingerprint
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry
from embeddings_store.vectors.fold_data import FoldData, RoleData

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.compose import ColumnTransformer

METADATA = "metadata"
TAGS = (*LEAK_TAGS, UNTAGGED)
BANNED = ("leaky", UNTAGGED)  # tags that put a banner on every output
MOST_CATEGORIES = 64


@dataclass(frozen=True, slots=True)
class MetadataColumns:
    """Which columns of one corpus make the vector.

    Attributes:
        view: Name of the view that they become.
        columns: Names of ``meta_*`` columns, in the manifest's order.
        left_out: Columns of a chosen tag that are text.
    """

    view: str
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def ref(self, manifest: Manifest) -> EncoderRef:
        """Return the reference under which results name this view.

        Its fingerprint is over the columns and their cells.
        """
        settings = {
            "columns": list(self.columns),
            "cells": manifest.columns_digest(self.columns),
            "most": MOST_CATEGORIES,
        }
        return EncoderRef(METADATA, fingerprint(settings), self.view)


def choose_columns(
    manifest: Manifest, asked: Sequence[str], view: str = METADATA
) -> MetadataColumns:
    """Resolve tags and column names, with or without ``meta_``, to columns.

    Args:
        manifest: The corpus.
        asked: For example ``["safe", "meta_topic"]``. Naming a tag or column is consent to use it.
        view: Name of the view that they become.

    Raises:
        UsageError: A name does not exist, a tag has no column, or a column that was named is text.

    >>> columns = {"id": ["a", "b"], "text": ["x", "y"], "meta_age": [30, 41]}
    >>> m = Manifest.from_columns("c", columns, tags={"meta_age": "safe"})
    >>> choose_columns(m, ["safe"]).columns
    ('meta_age',)
    """
    known = [str(c) for c in manifest.table.columns if str(c).startswith("meta_")]
    if not known:
        raise UsageError(
            f"corpus {manifest.name!r} has no metadata: no column of its manifest begins with meta_"
        )
    wanted: set[str] = set()
    left_out: list[str] = []
    for name in asked:
        column = name if name in known else f"meta_{name}"
        if name in TAGS:
            words, texts = columns_tagged(manifest, name)
            if not words and not texts:
                there = ", ".join(f"{c} ({manifest.tag(c)})" for c in known)
                raise UsageError(
                    f"corpus {manifest.name!r} has no {name} metadata; there is {there}"
                )
            left_out += texts
            wanted |= set(words)
        elif column in known:
            if kinds := _text_kinds(manifest.table[column]):
                raise UsageError(
                    f"{column} is text ({kinds} different values in {len(manifest)} rows): give it "
                    "to a text encoder with extract-features --modality text --text-column "
                    f"{column}, and use the vectors as a modality of its own (--modalities ... "
                    f"{column})"
                )
            wanted.add(column)
        else:
            unknown_name("metadata column or tag", name, [*TAGS, *known])
    chosen = tuple(c for c in known if c in wanted)
    if not chosen:
        raise UsageError(
            f"nothing is left of the metadata {' '.join(asked)}: {', '.join(left_out)} are text; "
            "give them to a text encoder with extract-features --modality text --text-column NAME"
        )
    return MetadataColumns(view, chosen, tuple(left_out))


def columns_tagged(manifest: Manifest, *tags: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns with these tags.

    Those that can become a vector, and those that are text.
    """
    tagged = manifest.tagged(*tags)
    texts = tuple(c for c in tagged if _text_kinds(manifest.table[c]))
    return tuple(c for c in tagged if c not in texts), texts


def load_with_metadata(
    request: FoldRequest, manifest: Manifest, metadata: Sequence[MetadataColumns]
) -> FoldData:
    """Load one fold through the gate, with metadata as further views.

    Args:
        request: What is asked for; names of ``metadata`` among its views stand for those.
        manifest: The corpus.
        metadata: The views that are metadata; those that the request does not name are left out.

    Raises:
        FoldError: No training row has any of a view's columns.
    """
    used = [chosen for chosen in metadata if chosen.view in request.views]
    if not used:
        return load_fold(request, manifest)
    of_metadata = {chosen.view for chosen in used}
    encoders = {view: ref for view, ref in request.views.items() if view not in of_metadata}
    given = np.logical_or.reduce([_given(columns(manifest, chosen)) for chosen in used])
    data = load_fold(replace(request, views=encoders, other_input=given), manifest)
    for chosen in used:
        data = add_metadata(data, manifest, chosen)
    return replace(data, views={view: data.views[view] for view in request.views})


def columns(manifest: Manifest, chosen: MetadataColumns) -> pd.DataFrame:
    """Return the columns (N, columns), numbers as float64, by id."""
    table = manifest.table.set_index("id")[list(chosen.columns)]
    return table.assign(
        **{c: values for c in chosen.columns if (values := numbers(table[c])) is not None}
    )


def add_metadata(data: FoldData, manifest: Manifest, chosen: MetadataColumns) -> FoldData:
    """Return a fold with one view more: the metadata's vectors, fitted on its training rows.

    Args:
        data: The fold without this view.
        manifest: The corpus.
        chosen: Which columns become the view.

    Raises:
        FoldError: No training row has any of the columns.
    """
    table = columns(manifest, chosen)
    fit = table.loc[data.train.ids]
    fit = fit[_given(fit)]
    if not len(fit):
        raise FoldError(
            f"fold {data.fold}: none of its {len(data.train)} training rows has "
            f"{', '.join(chosen.columns)}; leave the metadata out, or use other folds"
        )
    transformer = vectoriser(fit).fit(fit)
    width = transformer.transform(fit.iloc[:1]).shape[1]

    def with_view(rows: RoleData) -> RoleData:
        raw = table.loc[rows.ids]
        present = _given(raw)
        vectors = np.full((len(rows), width), np.nan, dtype=np.float32)
        if present.any():
            vectors[present] = transformer.transform(raw[present])
        return replace(
            rows,
            vectors={**rows.vectors, chosen.view: vectors},
            present={**rows.present, chosen.view: present},
        )

    return replace(
        data,
        views={**data.views, chosen.view: chosen.ref(manifest)},
        train=with_view(data.train),
        valid=with_view(data.valid),
        test=with_view(data.test),
        spaces=tuple(add_metadata(space, manifest, chosen) for space in data.spaces),
    )


def catalogue_entry(manifest: Manifest, chosen: MetadataColumns, folder: Path) -> Entry:
    """Describe the view as the catalogue describes files.

    ``dim`` is the width over all rows, a fold's may be smaller.

    Args:
        manifest: The corpus.
        chosen: Which columns become the view.
        folder: The corpus' folder in the store.
    """
    table = columns(manifest, chosen)
    given, ref = _given(table), chosen.ref(manifest)
    width = vectoriser(table).fit_transform(table[given]).shape[1] if given.any() else 0
    return Entry(
        folder / "manifest.parquet",
        manifest.name,
        ref,
        "any",
        len(manifest),
        int(given.sum()),
        width,
        False,
        {"columns": list(chosen.columns)},
        ref.fingerprint,
    )


def vectoriser(table: pd.DataFrame) -> ColumnTransformer:
    """Return the unfitted transformer of these columns.

    Numbers imputed and standardised, words one column per kind.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"meta_age": [20.0, 40.0], "meta_sex": ["f", "m"]})
    >>> vectoriser(rows).fit_transform(rows).tolist()
    [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = [c for c in table if pd.api.types.is_numeric_dtype(table[c].dtype)]
    words = [c for c in table if c not in numeric]
    number = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    word = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            (name, step, columns)
            for name, step, columns in (("numbers", number, numeric), ("words", word, words))
            if columns
        ]
    )


def _text_kinds(column: pd.Series) -> int:
    """Return how many values a column of text has; 0 for numbers and for a few kinds of words."""
    kinds = int(column.nunique())
    return kinds if kinds > MOST_CATEGORIES and numbers(column) is None else 0


def _given(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows in which any column holds something, shape (n,)."""
    return np.asarray((rows.notna() & (rows != "")).any(axis=1), dtype=bool)
