"""The wheel holds every module and every data file that installed packages read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("classify", "embeddings_store", "extract")
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


def built(folder: Path) -> dict[str, bytes]:
    """Build a wheel from a copy of the tree and return its files below the packages."""
    tree, out = folder / "tree", folder / "out"
    out.mkdir()
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, symlinks=True, ignore=LEFT_OUT)
    # classify/results/published is a link to the tables' home
    published = Path("benchmarks", "published")
    shutil.copytree(ROOT / published, tree / published)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(out / done.stdout.splitlines()[-1]) as wheel:
        names = [name for name in wheel.namelist() if name.startswith(PACKAGES)]
        return {name: wheel.read(name) for name in names}


def in_tree() -> dict[str, bytes]:
    """Return the files below the packages as the tree has them, links followed."""
    found = {}
    for package in PACKAGES:
        for folder, _, names in os.walk(ROOT / package, followlinks=True):
            for path in (Path(folder, name) for name in names):
                if path.parent.name != "__pycache__":
                    found[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return found


@pytest.mark.slow
def test_a_wheel_holds_the_packages_and_all_their_data_and_nothing_else(tmp_path: Path) -> None:
    wheel, tree = built(tmp_path), in_tree()
    assert sorted(wheel) == sorted(tree)
    assert [name for name in tree if wheel[name] != tree[name]] == []
    ends = {Path(name).suffix for name in tree}
    assert {".py", ".csv", ".md", ".css", ".js", ".j2"} <= ends  # so that data was looked at
    assert any(name.startswith("classify/results/published/") for name in tree)
