"""Generated releases, and helpers beside the tests that importlib mode does not find by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from extract.corpora.generated import Planted

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, bool], tuple[Path, tuple[Planted, ...]]]:
    """Generate a release once, with or without defects; tests leave it as it is."""
    from extract.corpora.generated import make_release

    there: dict[tuple[str, bool], tuple[Path, tuple[Planted, ...]]] = {}

    def make(corpus: str, defects: bool) -> tuple[Path, tuple[Planted, ...]]:
        if (corpus, defects) not in there:
            out = tmp_path_factory.mktemp("releases") / corpus
            there[corpus, defects] = out, make_release(corpus, out, defects=defects)
        return there[corpus, defects]

    return make
