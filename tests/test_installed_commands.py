"""The installed commands are ours wherever they are started; ``python -m`` is not.

``extract`` and ``classify`` are names that others use too: a folder may hold a script of that name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = sorted(PROJECT["project"]["scripts"])
STRAY_EXIT = 99


@pytest.fixture(scope="module")
def stray(tmp_path_factory) -> Path:
    """A folder with files named like our packages, each of which ends the process that runs it."""
    folder = tmp_path_factory.mktemp("stray")
    for name in ("extract", "classify", "embeddings_store"):
        code = f"import sys\nprint('stray {name}')\nsys.exit({STRAY_EXIT})\n"
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return folder


def script(command: str) -> str:
    """Return the path of an installed command."""
    path = Path(sysconfig.get_path("scripts")) / command
    if not path.is_file():
        pytest.skip(f"{path} is not installed; pip install -e . makes it")
    return str(path)


def run(arguments: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; nothing in the environment changes where Python looks."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        arguments, cwd=folder, env=environment | more, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_ours_beside_files_of_the_same_names(command, stray):
    done = run([script(command), "--help"], stray)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {command} ")


@pytest.mark.parametrize(
    ("more", "code"), [({}, STRAY_EXIT), ({"PYTHONSAFEPATH": "1"}, 0)], ids=["plain", "safe path"]
)
def test_python_m_looks_into_the_folder_first_unless_it_is_told_not_to(more, code, stray):
    """Python's own rule, and none of our code runs: hence no message of ours, but a safe form."""
    # Nothing but an installed package is found then, not even the folder above this file.
    done = run([sys.executable, "-m", "extract.commands.extract_features", "--help"], stray, **more)
    if more and "No module named" in done.stderr:
        pytest.skip("the package is not installed, only found from its folder")
    assert done.returncode == code, done.stderr
    assert ("stray extract" in done.stdout) == (code == STRAY_EXIT)


def test_torchrun_with_the_installed_command_is_safe(stray):
    pytest.importorskip("torch", reason="the extra 'extract' is not installed")
    launch = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
    done = run(
        [*launch, "--nproc-per-node", "1", "--no-python", script("extract-features"), "--help"],
        stray,
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    assert "usage: extract-features " in done.stdout
