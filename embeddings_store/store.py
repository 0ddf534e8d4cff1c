"""A store opened from Python: what it holds, its corpora, and one fold of them as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError
from embeddings_store.fold_request import FoldRequest
from embeddings_store.folds.setup import Request, Setup, set_up
from embeddings_store.load import load_fold
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import (
    CHOOSE_LAYER,
    catalogue,
    choose_views,
    corpora,
    only_corpus,
)
from embeddings_store.vectors.fold_data import FoldData


class Store:
    """A folder of corpora and of the vectors that encoders made of them.

    Args:
        path: The store's folder.

    Raises:
        StoreNotFoundError: There is no store, or it is empty.

    >>> import tempfile
    >>> from embeddings_store.example import write_example_store
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = open_store(write_example_store(folder))
    ...     contents = store.contents()
    ...     fold = store.fold(1)
    >>> store
    Store('...store'): example
    >>> contents[["modality", "fold", "rows", "ok", "dim"]].values.tolist()
    [['audio', 'any', 48, 48, 4], ['text', 'any', 48, 48, 6]]
    >>> fold.train.vectors["text"].shape, fold.test.y.shape
    ((24, 6), (12,))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.corpora: tuple[str, ...] = tuple(corpora(self.path))

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}): {', '.join(self.corpora)}"

    def __fspath__(self) -> str:
        """A store stands wherever a path of it is wanted."""
        return str(self.path)

    def manifest(self, corpus: str = "") -> Manifest:
        """Read a corpus: its rows, their labels and speakers; its ``table`` is a pandas frame.

        Args:
            corpus: Its name; empty takes the only one.

        Raises:
            UsageError: The store holds several corpora, or none of that name.
        """
        return Manifest.load(self.path / self._named(corpus))

    def contents(self, corpus: str = "") -> pd.DataFrame:
        """List the files of vectors, a row each, by their headers alone.

        Args:
            corpus: Of which corpus; empty takes all.

        Returns:
            The columns ``corpus``, ``modality``, ``encoder``, ``fingerprint``, ``layer`` (-1 where
            there is no such thing), ``seed``, ``fold``, ``rows``, ``ok`` (rows with a vector),
            ``dim``, ``scores`` (whether a head's class scores are there) and ``path``.
        """
        rows = []
        for name in [corpus] if corpus else self.corpora:
            for entry in catalogue(self.path, name):
                rows.append(
                    {
                        "corpus": entry.corpus,
                        "modality": entry.ref.modality,
                        "encoder": entry.ref.name,
                        "fingerprint": entry.ref.fingerprint,
                        "layer": entry.ref.layer,
                        "seed": entry.ref.seed,
                        "fold": entry.fold,
                        "rows": entry.rows,
                        "ok": entry.ok,
                        "dim": entry.dim,
                        "scores": entry.has_scores,
                        "path": entry.path,
                    }
                )
        return pd.DataFrame(rows)

    def setup(self, corpus: str = "", request: Request | None = None) -> Setup:
        """Return who trains, validates and is tested, as every command would decide it.

        Args:
            corpus: Its name; empty takes the only one.
            request: Protocol, folds, validation rule and label set; none takes the corpus' own.

        Raises:
            UsageError: Names that do not exist, or that contradict each other.
            FoldError: The corpus does not allow such folds.
        """
        return set_up(self.manifest(corpus), request or Request())

    def fold(
        self,
        number: int,
        corpus: str = "",
        *,
        modalities: Sequence[str] = (),
        encoders: Mapping[str, str] | None = None,
        layer: str = "",
        request: Request | None = None,
    ) -> FoldData:
        """Load one fold as arrays, joined by id and checked for leaks.

        Args:
            number: The fold's number, from 1.
            corpus: The corpus; empty takes the only one.
            modalities: Which, in this order; empty takes all.
            encoders: Modality to ``NAME[@FINGERPRINT]``, where the store has several.
            layer: ``last`` or a number, where several layers are stored.
            request: Protocol, folds, validation rule and label set; none takes the corpus' own.

        Returns:
            Per role ``ids`` (n,), ``y`` (n,), ``vectors[modality]`` (n, D) and, where an encoder
            has a head, ``scores[modality]`` (n, C); :meth:`FoldData.frame`
            makes a pandas frame of it.

        Raises:
            UsageError: Nothing of that name is there, or several things are.
            LeakError: A test or validation row was seen by an encoder.
            StoreMismatchError: Files that do not belong together.
        """
        if layer in {CHOOSE_LAYER, "valid"}:
            raise UsageError(
                "a layer that is chosen among all is the grid's to choose; name one, or last"
            )
        name = self._named(corpus)
        candidates = choose_views(
            catalogue(self.path, name), modalities=modalities, encoders=encoders, layer=layer
        )
        views: dict[str, EncoderRef] = {view: found[0] for view, found in candidates.items()}
        setup = self.setup(name, request)
        return load_fold(FoldRequest(self.path, name, views, setup.plan, number), setup.view)

    def _named(self, corpus: str) -> str:
        return corpus or only_corpus(self.path)


def open_store(path: str | Path = "embeddings") -> Store:
    """Open a store that ``extract-features`` or ``embeddings-store import`` wrote.

    Raises:
        StoreNotFoundError: There is no store, or it is empty.
    """
    return Store(path)
