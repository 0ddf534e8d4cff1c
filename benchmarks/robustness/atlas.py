"""Every world by its name: made once, linked for each trial, never changed in its place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.robustness import media_worlds, worlds

WORLDS: Mapping[str, Callable[[Path], None]] = {
    "cached": media_worlds.cached,
    "checked": worlds.checked,
    "corpus alone": worlds.corpus_alone,
    "demo": worlds.demo,
    "encoders": media_worlds.encoders,
    "exports": worlds.exports,
    "faces": media_worlds.faces,
    "films": media_worlds.films,
    "fold files": worlds.fold_files,
    "labelling": media_worlds.labelling,
    "manifest": worlds.manifest,
    "model": worlds.model,
    "models": media_worlds.models,
    "one file": worlds.one_file,
    "pair": worlds.pair,
    "plain manifest": worlds.plain_manifest,
    "plans": worlds.plans,
    "results": worlds.results,
    "running": media_worlds.running,
    "snapshot": worlds.snapshot,
    "sound_files": media_worlds.sound_files,
    "store": worlds.store,
    "superb": worlds.superb,
    "trained": media_worlds.trained,
    "training": media_worlds.training,
    "vectors": worlds.vectors,
    **{f"release {name}": partial(worlds.release, name=name) for name in worlds.RELEASES},
}


def made(name: str, folder: Path) -> Path:
    """Return the world of that name, made below ``folder`` where it is not there yet."""
    world = folder / name
    if not world.is_dir():
        making = folder / f".{name}"
        shutil.rmtree(making, ignore_errors=True)
        WORLDS[name](making)
        making.rename(world)
    return world


def digest(world: Path) -> str:
    """Digest every file of a world but its locks."""
    hasher = hashlib.sha256()
    for path in sorted(world.rglob("*")):
        if path.is_file() and not path.name.endswith(".lock"):
            hasher.update(path.relative_to(world).as_posix().encode() + path.read_bytes())
    return hasher.hexdigest()
