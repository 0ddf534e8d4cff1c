"""Pages name files, modules and links that are there."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("embeddings_store", "extract", "classify", "benchmarks", "tests")
# What a page tells to make, and a folder that only a release has.
NOT_OURS = {"extract/corpora/mycorpus.py", "extract/corpora/generated/mycorpus.py"}


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split()]


def paths_in(text: str) -> set[str]:
    """Return what stands between backticks and is a path below one of the packages."""
    start = "|".join(PACKAGES)
    return set(re.findall(rf"`((?:{start})/[\w/.-]+)`", text))


def modules_in(text: str) -> set[str]:
    """Return the modules and names of the packages that a page names with dots."""
    return set(re.findall(r"`((?:embeddings_store|extract|classify)(?:\.\w+)+)`", text))


def is_there(dotted: str) -> bool:
    parts = dotted.split(".")
    for known in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:known]))
        except ModuleNotFoundError:
            continue
        for name in parts[known:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lost = [name for name in sorted(paths_in(text) - NOT_OURS) if not (ROOT / name).exists()]
    lost += [name for name in sorted(modules_in(text)) if not is_there(name)]
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not (page.parent / target).exists():
            lost.append(target)
    assert lost == []


def test_there_are_pages_and_they_name_files() -> None:
    found = pages()
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {page.name for page in found}
    named = {name for page in found for name in paths_in(page.read_text(encoding="utf-8"))}
    assert len(named) > 15
    assert is_there("classify.grid.config.GridConfig.store") and not is_there("classify.nothing")
