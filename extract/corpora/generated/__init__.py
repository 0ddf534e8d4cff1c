"""Tiny releases in the exact layout and formats of real corpora, to try before a licence is signed.

To add one, write one file here: ``extract/corpora/generated/mycorpus.py`` for the reader
``mycorpus``. The first line of its docstring says what is generated, ``write(studio)`` writes a
release without a flaw, and ``DEFECTS`` lists what is known to be wrong with the real one, each with
a function that plants it. Nothing else has to be registered.
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings_store.atomic import exclusive, explained, make_folder
from embeddings_store.errors import UsageError, unknown_name
from extract.corpora.generated._synthetic_media import Studio

__all__ = ["RELEASES", "Defect", "GeneratedRelease", "Planted", "Studio", "make_release"]

# What a defect comes to that no reader can see, since readers open no media.
FAILS = "the clip fails when it is decoded, with its reason"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that is wrong with a real release.

    Attributes:
        what: In words.
        comes_to: The kind of note that the reader makes of it, or what else becomes of it.
        plant: Puts it into a flawless release and returns the name of the file or row.
    """

    what: str
    comes_to: str
    plant: Callable[[Studio], str]


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect that was put into a release.

    Attributes:
        what: In words.
        where: The file or row.
        comes_to: The kind of note that the reader makes of it, or what else becomes of it.
    """

    what: str
    where: str
    comes_to: str


@dataclass(frozen=True, slots=True)
class GeneratedRelease:
    """One row of the table of generated releases; the module is imported when it is first used."""

    name: str
    summary: str

    @property
    def module(self) -> Any:
        """The file that makes it."""
        return importlib.import_module(f"{__name__}.{self.name}")


class _Releases(Mapping[str, GeneratedRelease]):
    """The files of this folder as a table; looking at it imports none of them."""

    def __getitem__(self, name: str) -> GeneratedRelease:
        if name not in set(self):
            raise KeyError(name)
        source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        return GeneratedRelease(
            name, (ast.get_docstring(ast.parse(source)) or name).splitlines()[0]
        )

    def __iter__(self) -> Iterator[str]:
        return (
            m.name
            for m in pkgutil.iter_modules(__path__)
            if not m.ispkg and not m.name.startswith("_")
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


RELEASES: Mapping[str, GeneratedRelease] = _Releases()


def make_release(
    corpus: str, out: Path, seed: int = 0, defects: bool = False
) -> tuple[Planted, ...]:
    """Write a tiny release as the folder ``out``, whole or not at all.

    Args:
        corpus: One of :data:`RELEASES`; hyphens and case do not count, so ``CREMA-D`` is
            ``cremad``.
        out: A folder that is empty or not there yet.
        seed: Same seed and library versions, same bytes.
        defects: Plant every known defect.

    Returns:
        What was planted.

    Raises:
        UnknownNameError: There is no such release.
        UsageError: ``out`` is a file, or a folder that holds something.
        StoreAccessError: It may not be written to.
        StoreFullError: The disk is full; nothing is left behind.
    """
    name = corpus.replace("-", "").lower()
    if name not in RELEASES:
        unknown_name("generated release", corpus, tuple(sorted(RELEASES)))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "a folder that holds something" if out.is_dir() else "a file"
        raise UsageError(f"{out}: is {what}; name an empty or new folder with --out")
    make_folder(out.parent)
    with exclusive(out.with_name(f".{out.name}.lock"), f"the release {out}"):
        for leftover in out.parent.glob(f".{out.name}.*.tmp"):
            shutil.rmtree(leftover)
        building = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            with explained(out):
                building.mkdir()
                planted = _write(RELEASES[name].module, Studio(building, seed), defects)
                building.rename(out)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return planted


def _write(module: Any, studio: Studio, defects: bool) -> tuple[Planted, ...]:
    module.write(studio)
    chosen: tuple[Defect, ...] = module.DEFECTS if defects else ()
    return tuple(Planted(defect.what, defect.plant(studio), defect.comes_to) for defect in chosen)
