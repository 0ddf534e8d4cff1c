"""The embedded default: a generated release in IEMOCAP's layout, four classes, with a known best possible accuracy.

It is read by IEMOCAP's very reader. See :mod:`extract.corpora.demo_release` for how it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from embeddings_store.manifest import Manifest
from extract.corpora import iemocap
from extract.corpora.demo_release import FIDELITY, best_possible, generate


def read(root: Path, *, seed: int = 0, video: bool = True, label_set: str = "iemocap-4", kind: str = "all",
         keep_tags: bool = False, all_turns: bool = False, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """Read the demo release below ``root``, and generate it first where it is not there.

    Args:
        root: A folder for generated data; the release becomes :func:`release_folder` in it.
        seed: Which release.
        video: With films, or without to save time and space.
        label_set: As in :func:`extract.corpora.iemocap.read`, like the next three.
        kind: As there.
        keep_tags: As there.
        all_turns: As there.
        progress: Called with (dialogues done, all dialogues) while generating.

    Raises:
        ManifestError: The release was changed after it was made.
        StoreBusyError: Another process is generating it.
    """
    release = generate(release_folder(root, seed, video), seed, video, progress)
    manifest = iemocap.read_release(release, "demo", label_set, kind, keep_tags, all_turns)
    ceilings = (f"{' + '.join(names)} {best_possible(names):.1%}" for count in range(1, len(FIDELITY) + 1)
                for names in combinations(FIDELITY, count))
    return replace(manifest, notes=(*manifest.notes, f"best possible accuracy by design: {', '.join(ceilings)}"))


def release_folder(root: Path, seed: int = 0, video: bool = True) -> Path:
    """Return where :func:`read` generates a release.

    >>> release_folder(Path("data"), video=False).as_posix()
    'data/demo-seed-0-without-video'
    """
    return root / f"demo-seed-{seed}{'' if video else '-without-video'}"
