"""Is a corpus complete and sane? A table of checks, each of which looks at a release.

To add a check, write a function ``(ReleaseUnderCheck) -> Iterator[CorpusFinding]`` in one of the
modules here and name it in :data:`CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from extract.checks.finding import CorpusFinding, ReleaseUnderCheck

CHECKS: Mapping[str, tuple[str, ...]] = {
    "notes": ("from_notes",),
    "files": ("apple_double_files", "media_there", "unnamed_media"),
    "rows": (
        "documented_counts",
        "label_words",
        "label_counts",
        "transcripts",
        "times",
        "same_parts",
        "sides",
        "protocol",
    ),
    "media": (
        "unreadable",
        "silent",
        "black",
        "odd_spans",
        "other_lengths",
        "rates",
        "release_rate",
        "durations",
        "one_length",
        "same_bytes",
    ),
    "faces": ("faces_found", "speakers_seen"),
}


def run_checks(release: ReleaseUnderCheck) -> list[CorpusFinding]:
    """Run every check, errors first.

    A check that needs the media read finds nothing where they were not.
    """
    found: list[CorpusFinding] = []
    for module, names in CHECKS.items():
        for name in names:
            check = _check(module, name)
            found.extend(check(release))
    return sorted(found, key=lambda finding: finding.rank)


def _check(module: str, name: str) -> Callable[[ReleaseUnderCheck], Iterator[CorpusFinding]]:
    check: Callable[[ReleaseUnderCheck], Iterator[CorpusFinding]] = getattr(
        import_module(f"{__name__}.{module}"), name
    )
    return check
