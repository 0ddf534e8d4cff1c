"""The label sets of the literature as a table.

Which raw labels count, as which class, on which rows, and how many there are.

A label set is a view: the same vectors serve every set of their corpus, and a result names the set
that it was made with. Two sets of one size are not one set, and several of the published sizes look
alike. To add a set, add a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import LabelError, UsageError, unknown_name


@dataclass(frozen=True, slots=True)
class NamedLabels:
    """One row of the table.

    Attributes:
        name: How ``--label-set`` and every result call it.
        corpora: Corpora that it belongs to; none for every corpus whose raw labels it knows.
        classes: Class to its raw labels; empty for a set that is known by name only.
        dropped: Raw labels that are known and left out.
        kind: ``improvised`` where only such dialogues count, else empty.
        rows: Rows of the whole release; 0 where no figure was published or verified.
        note: What a reader must know.
        source: Where the figures are from.
        labels: The set as classes and their raw labels; none for one known by name only.
    """

    name: str
    corpora: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    dropped: tuple[str, ...] = ()
    kind: str = ""
    rows: int = 0
    note: str = ""
    source: str = ""
    labels: LabelSet | None = field(init=False)

    def __post_init__(self) -> None:
        """Make the label set.

        Its classes are in alphabetical order unless they are the raw labels themselves.
        """
        mapping: dict[str, str] = {}
        for name, raws in self.classes.items():
            mapping |= dict.fromkeys(raws, name)
        made = None
        if mapping:
            made = LabelSet(self.name, tuple(self.classes), mapping, frozenset(self.dropped))
        object.__setattr__(self, "labels", made)

    def applies_to(self, corpus: str) -> bool:
        """Say whether it is a set of this corpus; ``iemocap-all`` is IEMOCAP under another name."""
        return any(corpus == known or corpus.startswith(f"{known}-") for known in self.corpora)

    def mask(self, manifest: Manifest) -> NDArray[np.bool_]:
        """Rows that may count (N,), whatever their label.

        Raises:
            LabelError: The corpus does not say which dialogues are improvised.
        """
        return rows_of_kind(manifest, self.kind)


def rows_of_kind(manifest: Manifest, kind: str) -> NDArray[np.bool_]:
    """Return the rows of one kind of dialogue (N,), all for an empty ``kind``.

    Raises:
        LabelError: The corpus does not say which row is of which kind.
    """
    if not kind:
        return np.ones(len(manifest), dtype=bool)
    if "meta_kind" not in manifest.table:
        raise LabelError(
            f"corpus {manifest.name!r} does not say which dialogues are {kind} (no column "
            "meta_kind); choose another label set or protocol"
        )
    return np.asarray(manifest.column("meta_kind") == kind)


_IEMOCAP = ("iemocap", "demo")
_RAW = ("ang", "hap", "exc", "neu", "sad", "fru", "sur", "fea", "dis", "oth", "xxx")
_RELEASE = "Busso et al. 2008, counts of the full release"


def _iemocap(
    name: str, classes: Mapping[str, tuple[str, ...]], rows: int, note: str, kind: str = ""
) -> NamedLabels:
    used = set().union(*classes.values())
    return NamedLabels(
        name,
        _IEMOCAP,
        dict(sorted(classes.items())),
        tuple(raw for raw in _RAW if raw not in used),
        kind,
        rows,
        note,
        _RELEASE,
    )


def _plain(
    name: str, corpus: str, classes: tuple[str, ...], rows: int, note: str, source: str
) -> NamedLabels:
    return NamedLabels(
        name, (corpus,), {label: (label,) for label in classes}, rows=rows, note=note, source=source
    )


_FOUR = {"anger": ("ang",), "happiness": ("hap",), "neutral": ("neu",), "sadness": ("sad",)}
_SIX = {**_FOUR, "excitement": ("exc",), "frustration": ("fru",)}
_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_PUBLISHED = "published results"
_PICKLE = "of an older pickle that circulates, not of the release: it cannot be rebuilt"

TABLE: tuple[NamedLabels, ...] = (
    _iemocap(
        "iemocap-4",
        {**_FOUR, "happiness": ("hap", "exc")},
        5531,
        "excited counts as happy; arXiv 2402.07327 prints 5,532",
    ),
    _iemocap("iemocap-4-no-exc", _FOUR, 4490, "excited is dropped"),
    _iemocap(
        "iemocap-4-no-exc-improvised",
        _FOUR,
        2280,
        "improvised dialogues only, excited is dropped",
        "improvised",
    ),
    _iemocap(
        "iemocap-4-improvised",
        {**_FOUR, "happiness": ("hap", "exc")},
        2943,
        "improvised dialogues only, excited counts as happy",
        "improvised",
    ),
    _iemocap(
        "iemocap-6",
        _SIX,
        7380,
        "six-way; the reader gives these turns with --corpus-option all_turns=yes",
    ),
    NamedLabels(
        "iemocap-4543",
        _IEMOCAP,
        {},
        rows=4543,
        note=f"excited dropped, 53 more happy; {_PICKLE}",
        source=_PUBLISHED,
    ),
    NamedLabels(
        "iemocap-6-7433",
        _IEMOCAP,
        {},
        rows=7433,
        note=f"six-way, 53 more happy; {_PICKLE}",
        source=_PUBLISHED,
    ),
    _plain(
        "ravdess-speech",
        "ravdess",
        _RAVDESS,
        1440,
        "the emotion that the actor was asked for",
        "doi 10.5281/zenodo.1188976",
    ),
    _plain(
        "ravdess-song",
        "ravdess",
        _RAVDESS[:6],
        1012,
        "sung: six emotions, none by actor 18",
        "doi 10.5281/zenodo.1188976",
    ),
    _plain(
        "emodb-7",
        "emodb",
        ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"),
        535,
        "the emotion that the actor was asked for",
        "Burkhardt et al. 2005",
    ),
    _plain(
        "meld-7",
        "meld",
        ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
        13708,
        "three official tables together",
        "Poria et al. 2019",
    ),
    NamedLabels(
        "common-4",
        (),
        {
            "anger": ("ang", "anger", "angry"),
            "happiness": ("exc", "excitement", "hap", "happiness", "happy", "joy"),
            "neutral": ("neu", "neutral"),
            "sadness": ("sad", "sadness"),
        },
        (
            "boredom",
            "calm",
            "contempt",
            "dis",
            "disgust",
            "disgusted",
            "fea",
            "fear",
            "fearful",
            "fru",
            "frustration",
            "oth",
            "proud",
            "sur",
            "surprise",
            "surprised",
            "trust",
            "xxx",
        ),
        note="the four classes that corpora have in common, for training on some and testing on "
        "another; excited counts as happy, calm is dropped",
        source="this project",
    ),
)
LABEL_SETS: Mapping[str, NamedLabels] = {row.name: row for row in TABLE}


def named_labels(name: str, manifest: Manifest) -> NamedLabels:
    """Return the label set ``name`` for a corpus.

    Raises:
        UnknownNameError: There is no such set.
        UsageError: It is known by name only, or belongs to another corpus.
        LabelError: The corpus has raw labels that the set does not know, or none of the rows of one
            of its raw labels.
    """
    if name not in LABEL_SETS:
        unknown_name(
            "label set",
            name,
            [row.name for row in TABLE if not row.corpora or row.applies_to(manifest.name)],
        )
    row = LABEL_SETS[name]
    if row.labels is None:
        raise UsageError(
            f"label set {name!r} is known by its published size only ({row.rows:,} rows): "
            f"{row.note}. Choose from "
            f"{', '.join(r.name for r in TABLE if r.labels and r.applies_to(manifest.name))}"
        )
    if row.corpora and not row.applies_to(manifest.name):
        usable = [
            other.name
            for other in TABLE
            if other.labels and (not other.corpora or other.applies_to(manifest.name))
        ]
        raise UsageError(
            f"label set {name!r} belongs to {', '.join(row.corpora)}, not to corpus "
            f"{manifest.name!r}; it has "
            f"{', '.join(usable)}"
        )
    there = set(manifest.column("label")[row.mask(manifest)].tolist())
    row.labels.encode(sorted(there))
    if row.corpora:
        absent = [raw for raw in row.labels.mapping if raw not in there]
    else:
        # A set for every corpus lists the spellings of all of them: one of a class is enough.
        absent = [name for name, raws in row.classes.items() if not there & set(raws)]
    if absent:
        raise LabelError(
            f"label set {name!r} needs rows with the label {absent[0]!r} ({len(absent)} labels "
            f"absent), and corpus {manifest.name!r} has none; read it with all its turns "
            "(extract-features --corpus-option all_turns=yes, where the reader has that option), "
            "or choose another --label-set"
        )
    return row
