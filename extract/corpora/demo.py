"""The embedded default: a generated release in IEMOCAP's layout, four classes, with a known best possible accuracy.

It is read by IEMOCAP's very reader. See :mod:`extract.corpora.demo_release` for how it is made.
"""  # noqa: E501 - its first line is what --help shows

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from embeddings_store.atomic import exclusive, explained, make_folder
from embeddings_store.corpus.manifest import GENERATED, Manifest
from extract.corpora import iemocap
from extract.corpora.demo_release import FIDELITY, best_possible, generate
from extract.corpora.demo_release.encoders import ENCODERS, make_encoders
from extract.corpora.demo_release.words import phrases

# Where nothing else is asked for, the demo fine-tunes its own small encoders, from random weights:
# hence learning rates far above the paper's. A third of all text and audio labels and half of all
# video labels do not match what is said, heard or seen, and a network that trains for long learns
# those by heart. So there are few epochs, smoothed labels, and dropout. Chosen on validation
# accuracy over release seed 0; seeds 1 and 2 were looked at once, at the end.
_SHORT: Mapping[str, object] = {
    "eval_batch_size": 64,
    "freeze": "none",
    "dropout": 0.3,
    "label_smoothing": 0.1,
}
OWN_TRAINING: Mapping[str, Mapping[str, object]] = {
    "text": {
        **_SHORT,
        "epochs": 7,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "augment": ("word-dropout",),
    },
    "audio": {
        **_SHORT,
        "epochs": 8,
        "batch_size": 32,
        "learning_rate": 3e-4,
        "warmup_ratio": 0.1,
        "augment": ("noise",),
    },
    "video": {
        **_SHORT,
        "epochs": 7,
        "batch_size": 16,
        "learning_rate": 5e-4,
        "warmup_ratio": 0.1,
        "weight_decay": 0.05,
        "augment": ("flip",),
        "region": "half-unboxed",
    },
}
ENCODERS_VERSION = 1


def read(
    root: Path,
    *,
    seed: int = 0,
    video: bool = True,
    label_set: str = "iemocap-4",
    kind: str = "all",
    keep_tags: bool = False,
    all_turns: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
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
    ceilings = []
    for count in range(1, len(FIDELITY) + 1):
        for names in combinations(FIDELITY, count):
            ceilings.append(f"{' + '.join(names)} {best_possible(names):.1%}")
    made_up = (
        f"{GENERATED}sentences are put together, voices are tones and faces are drawn; figures "
        "show that everything works"
    )
    best = f"best possible accuracy by design: {', '.join(ceilings)}"
    return replace(manifest, notes=(*manifest.notes, made_up, best))


def release_folder(root: Path, seed: int = 0, video: bool = True) -> Path:
    """Return where :func:`read` generates a release.

    Args:
        root: The folder that holds the demo's releases.
        seed: Which release.
        video: Whether it has films.

    >>> release_folder(Path("data"), video=False).as_posix()
    'data/demo-seed-0-without-video'
    """
    return root / f"demo-seed-{seed}{'' if video else '-without-video'}"


def own_encoders(root: Path) -> Mapping[str, Path]:
    """Return the demo's small encoders below ``root``, modality to folder.

    They are made first where they are not there. Their vocabulary is the generator's, their weights
    are random, and they do not depend on a
    release. They appear together or not at all.

    Raises:
        StoreAccessError: ``root`` may not be written to.
        StoreBusyError: Another process has been making them for a minute.
        StoreFullError: The disk is full.
    """
    folder = root / f"demo-encoders-{ENCODERS_VERSION}"
    if not folder.is_dir():
        make_folder(root)
        with exclusive(
            folder.with_name(f".{folder.name}.lock"), f"the demo's encoders {folder}", wait_s=60
        ):
            if not folder.is_dir():
                _make_encoders(folder)
    return {modality: folder / name for modality, name in ENCODERS.items()}


def _make_encoders(folder: Path) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(leftover)
    making = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with explained(folder):
            make_encoders(making, phrases())
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
