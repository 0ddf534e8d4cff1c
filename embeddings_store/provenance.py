"""What made a file.

Settings, weights, software and command, and the fingerprint over what changes a vector.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "torch",
    "transformers",
    "librosa",
    "opensmile",
    "numpy",
    "h5py",
    "scikit-learn",
    "xgboost-cpu",
    "xgboost",
    "pandas",
    "opencv-python-headless",
)


def fingerprint(settings: Mapping[str, object]) -> str:
    """Twelve hex digits over settings; the order of keys does not count, every value does.

    >>> fingerprint({"layer": 3, "pooling": "mean"}) == fingerprint({"pooling": "mean", "layer": 3})
    True
    >>> fingerprint({"layer": 3}) == fingerprint({"layer": 4})
    False
    """
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:12]


def canonical_json(data: object) -> str:
    """JSON with sorted keys and no spaces; refuses what is not plain data."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def changed_settings(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Say which settings differ, as ``name: old -> new``.

    >>> before = {"pooling": "mean", "max_duration_s": 10}
    >>> changed_settings(before, {"pooling": "mean", "max_duration_s": 8})
    ['max_duration_s: 10 -> 8']
    """
    return [
        f"{key}: {old.get(key, 'unset')} -> {new.get(key, 'unset')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, "unset") != new.get(key, "unset")
    ]


def collect(command: str = "") -> dict[str, object]:
    """Record the software and the moment: no user, host or absolute path of the machine."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command or shown_command(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "packages": package_versions(),
    }


def shown_command() -> str:
    """Return the command line without absolute paths, which say where someone's home is."""
    command = shlex.join([Path(sys.argv[0]).name, *map(_nameless, sys.argv[1:])])
    return command.encode(
        "utf-8", "backslashreplace"
    ).decode()  # A file name need not be UTF-8; what we write is.


def _nameless(argument: str) -> str:
    """Shorten an absolute path to its last part, also in ``NAME=PATH``.

    >>> _nameless("--root=/home/ada/MELD"), _nameless("audio=/models/whisper/")
    ('--root=MELD', 'audio=whisper')
    >>> _nameless("data/rows.csv")
    'data/rows.csv'
    """
    head, equals, value = argument.rpartition("=")
    return f"{head}{equals}{Path(value).name}" if Path(value).is_absolute() else argument


def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a number, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(outputs: str = "") -> str:
    """Return the project's git commit, with ``+`` for uncommitted changes.

    Empty outside a checkout.

    Args:
        outputs: A folder of the checkout that programs write to; changes there are none of theirs.
    """
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return ""
    git = ["git", "-C", str(here)]
    changed = [*git, "status", "--porcelain", "--untracked-files=no", "--", "."]
    if outputs:
        changed.append(f":(exclude){outputs}")
    try:
        head = _output_of([*git, "rev-parse", "--short=12", "HEAD"])
        return f"{head}+" if _output_of(changed) else head
    except (OSError, subprocess.SubprocessError):
        return ""


def _output_of(command: list[str]) -> str:
    found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return found.stdout.strip()


def file_digest(path: Path) -> str:
    """SHA-256 of a file as hex, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
