"""Lets the tests here import the helpers beside them, which pytest's importlib mode does not do by itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
