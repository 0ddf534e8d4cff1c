"""Readers: a corpus' root folder in its published layout becomes one checked manifest.

To add a corpus, write one file here. ``extract/corpora/mycorpus.py`` is the corpus ``mycorpus``,
the first line of its docstring is what ``--help`` shows, and its function ``read(root, *,
option=default, ...) -> Manifest`` does the work; the keyword parameters of ``read`` are the corpus'
options. Nothing else has to be registered. Where its documents say how often something occurs,
``DOCUMENTED`` lists it; where they state the rate of its sound, ``SAMPLE_RATE_HZ`` says it. A
format of another project also has ``write(manifest, folder, plan)``, for ``convert-corpus``. A
corpus that brings encoders of its own also has ``own_encoders(root) -> {modality: folder}`` and
``OWN_TRAINING``. Files whose name starts with ``_`` and sub-packages are not corpora. A reader
parses text and lists folders; it never opens media. The manifest's notes are :class:`Note` objects:
sentences that carry what was counted, how often, and the names.

>>> "ravdess" in corpus_names()
True
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.folds.plan import FoldPlan
from extract.corpora._notes import Documented, Note, differences

__all__ = [
    "READERS",
    "Documented",
    "Note",
    "Reader",
    "corpus_names",
    "differences",
    "format_names",
    "read_corpus",
]

SWITCHES = {
    "yes": True,
    "true": True,
    "on": True,
    "1": True,
    "no": False,
    "false": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Reader:
    """One row of the table of readers; the module is imported when it is first used.

    Attributes:
        name: The corpus' name on the command line and in the store.
        module: Where its ``read`` lives.
        summary: One line for ``--help``.
    """

    name: str
    module: str
    summary: str

    def options(self) -> dict[str, bool | int | str]:
        """Return the options that can be written down, and their defaults.

        A callback such as ``progress`` cannot.
        """
        return {
            name: default
            for name, default in self._parameters().items()
            if isinstance(default, bool | int | str)
        }

    def read(self, root: Path, /, **options: Any) -> Manifest:
        """Read the corpus below ``root``; see :func:`read_corpus`."""
        manifest: Manifest = importlib.import_module(self.module).read(
            Path(root).expanduser(), **self._values(options)
        )
        return manifest

    def documented(self, **options: Any) -> tuple[Documented, ...]:
        """Return the counts that the release's documents state for these options.

        None where they state nothing.

        >>> [(count.title, count.count) for count in READERS["emodb"].documented()][0]
        ('rows', 535)
        """
        counts: tuple[Documented, ...] = getattr(
            importlib.import_module(self.module), "DOCUMENTED", ()
        )
        values = self._parameters() | self._values(options)
        return tuple(count for count in counts if count.holds(values))

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the release's sound as its documents state it, in Hz; 0 where they do not.

        >>> READERS["ravdess"].sample_rate_hz
        48000
        """
        rate: int = getattr(importlib.import_module(self.module), "SAMPLE_RATE_HZ", 0)
        return rate

    def writer(self) -> Callable[[Manifest, Path, FoldPlan | None], tuple[str, ...]] | None:
        """Return the module's ``write(manifest, folder, plan)``, none for what is only read."""
        return getattr(importlib.import_module(self.module), "write", None)

    def own_encoder(self, root: Path, modality: str) -> str:
        """Return the folder of the encoder that the corpus brings for a modality, made if need be.

        Empty if it brings none.

        Raises:
            StoreError: It cannot be made.
        """
        make = getattr(importlib.import_module(self.module), "own_encoders", None)
        made: Mapping[str, Path] = make(Path(root).expanduser()) if make else {}
        return str(made[modality]) if modality in made else ""

    def own_training(self, modality: str) -> Mapping[str, Any]:
        """Return how that encoder is trained.

        Names and values of the training's settings and, for video, the ``region``.
        """
        own: Mapping[str, Mapping[str, Any]] = getattr(
            importlib.import_module(self.module), "OWN_TRAINING", {}
        )
        return own.get(modality, {})

    def _values(self, options: Mapping[str, Any]) -> dict[str, object]:
        known = self._parameters()
        for option in options:
            if option not in known:
                unknown_name(f"option of corpus {self.name!r}", option, tuple(known))
        return {option: _parsed(option, value, known[option]) for option, value in options.items()}

    def _parameters(self) -> dict[str, object]:
        parameters = inspect.signature(
            importlib.import_module(self.module).read
        ).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


class _Readers(Mapping[str, Reader]):
    """The files of this folder as a table; looking at it imports no reader."""

    def __getitem__(self, name: str) -> Reader:
        if name not in set(self):
            raise KeyError(name)
        summary = (ast.get_docstring(_parsed_source(name)) or name).splitlines()[0]
        return Reader(name, f"{__name__}.{name}", summary)

    def __iter__(self) -> Iterator[str]:
        return (
            m.name
            for m in pkgutil.iter_modules(__path__)
            if not m.ispkg and not m.name.startswith("_")
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


READERS: Mapping[str, Reader] = _Readers()


def corpus_names() -> tuple[str, ...]:
    """Return the names of all corpora, in alphabetical order."""
    return tuple(sorted(READERS))


def format_names() -> tuple[str, ...]:
    """Return the names of the formats that a corpus can be written in, in alphabetical order."""
    return tuple(name for name in corpus_names() if "write" in _functions(name))


def _functions(name: str) -> set[str]:
    tree = _parsed_source(name)
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@cache
def _parsed_source(name: str) -> ast.Module:
    """Return a reader's syntax tree; it is found as an import would find it, and not run."""
    spec = importlib.util.find_spec(f"{__name__}.{name}")
    if spec is None or spec.origin is None:
        raise KeyError(name)
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def read_corpus(name: str, root: Path, /, **options: Any) -> Manifest:
    """Read the corpus ``name`` in its published layout below ``root``.

    Args:
        name: One of :func:`corpus_names`.
        root: The folder that the release unpacks to (``manifest``: the table itself; ``demo``:
            where to generate it).
        options: The corpus' own options, see ``READERS[name].options()``. A string stands for the
            switch or number that the option takes, as on a command line: ``video="no"``,
            ``seed="3"``.

    Returns:
        A manifest with ``root`` set, media paths relative to it, and notes on what was skipped or
        odd.

    Raises:
        UnknownNameError: No corpus, or no option of the corpus, has this name.
        UsageError: A string is no switch or number.
        ManifestError: ``root`` does not hold this corpus; the message says what was expected and
            what is there.
    """
    if name not in READERS:
        unknown_name("corpus", name, corpus_names())
    return READERS[name].read(root, **options)


def _parsed(option: str, value: object, default: object) -> object:
    """Turn a string into the type of the option's default; anything else stays as it is."""
    if not isinstance(value, str) or isinstance(default, str):
        return value
    if isinstance(default, bool) and value.lower() in SWITCHES:
        return SWITCHES[value.lower()]
    if isinstance(default, int) and not isinstance(default, bool) and value.isdecimal():
        return int(value)
    raise UsageError(
        f"{option}={value!r}: {'yes or no' if isinstance(default, bool) else 'a whole number'} is "
        "expected"
    )
