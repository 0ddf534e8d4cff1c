"""What all tests share.

Where the optional material lies, and tests that need it are skipped with the reason.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Sums of several threads differ in their last bits, and the processes that tests start and kill use
# one; before anything imports torch or numpy's BLAS.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Programs that tests start; they hold no tests.
collect_ignore = ["interrupt_loop.py", "kill_loop.py"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and weights beside a developer's checkout.

    A user's machine has none.
    """
    if not (SHARED / "README.md").is_file():
        pytest.skip(
            f"needs the material in {SHARED.name}/ beside the checkout, which is not part of the "
            "project"
        )
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A job that a shell starts in the background ignores SIGINT, and all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
