"""The embedded default: a small release in IEMOCAP's exact layout, whose difficulty is known.

``design`` draws who says what with which cues, ``words``, ``voice`` and ``faces`` render a cue,
``film`` and ``writing`` write the files, and :func:`generate` puts the release together, whole or
not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from math import nan
from pathlib import Path

from embeddings_store.atomic import exclusive, no_room
from embeddings_store.errors import ManifestError, StoreError, StoreFullError
from embeddings_store.reading import reading
from extract.corpora.demo_release.design import (
    CLASSES,
    FIDELITY,
    PRIORS,
    DemoTurn,
    best_possible,
    draw,
    ideal_accuracy,
)
from extract.corpora.demo_release.writing import write_dialogue

__all__ = [
    "CLASSES",
    "FIDELITY",
    "PRIORS",
    "DemoTurn",
    "best_possible",
    "design_of",
    "draw",
    "generate",
    "ideal_accuracy",
]

VERSION = 2
RECORD = "demo_design.json"


def generate(
    out: Path, seed: int = 0, video: bool = True, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Generate the demo release as the folder ``out``, unless it is there already.

    The release is built beside ``out`` under a hidden name and renamed into place when its record
    ``demo_design.json`` has been written, so ``out`` is complete or absent. What a killed run left
    behind is removed by the next one.

    Args:
        out: The folder to become the release; it must not exist, or hold this very release.
        seed: Same seed and library versions, same bytes.
        video: Write the films too; words and voices are the same without.
        progress: Called with (dialogues done, all dialogues).

    Returns:
        ``out``.

    Raises:
        ManifestError: ``out`` exists and is something else, or some of its files have gone.
        StoreBusyError: Another process is generating it.
        StoreFullError: The disk is full; nothing is left behind.
    """
    wanted = {"version": VERSION, "seed": seed, "video": video}
    if out.exists():
        _check_complete(out, wanted)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(out.with_name(f".{out.name}.lock"), f"the demo release {out}"):
        if out.exists():
            _check_complete(out, wanted)
            return out
        for leftover in out.parent.glob(f".{out.name}.*.tmp"):
            shutil.rmtree(leftover)
        building = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            _build(building, wanted, progress)
            building.rename(out)
        except Exception as error:
            room = no_room(error)
            if room is None:
                raise
            what, advice = room
            raise StoreFullError(
                f"{out}: {what}; the demo needs about 80 MB (50 MB without video). {advice} and "
                "run the same command again"
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return out


def design_of(release: Path) -> tuple[DemoTurn, ...]:
    """Return the plan behind a generated release, without times, for :func:`ideal_accuracy`.

    Readers never look at it.

    Raises:
        StoreError: The release has no readable record.
    """
    fault = "is not the record of a demo release"
    with reading(release / RECORD, "", "generate it again", StoreError, fault=fault):
        record = json.loads((release / RECORD).read_text(encoding="utf-8"))["turns"]
        turns = []
        for name, row in record.items():
            cues = {modality: row[modality] for modality in FIDELITY}
            turns.append(DemoTurn(name, row["raw"], row["label"], cues, nan, nan))
        return tuple(turns)


def _build(
    building: Path, wanted: dict[str, int], progress: Callable[[int, int], None] | None
) -> None:
    """Write every dialogue into ``building``, then the record, which says that all are there."""
    plan = draw(wanted["seed"])
    for done, dialogue in enumerate(plan, start=1):
        write_dialogue(building, dialogue, [wanted["seed"], done], bool(wanted["video"]))
        if progress is not None:
            progress(done, len(plan))
    turns = {}
    for dialogue in plan:
        for turn in dialogue.turns:
            turns[turn.id] = {"label": turn.label, "raw": turn.raw, **turn.cues}
    record = {
        **wanted,
        "classes": CLASSES,
        "priors": PRIORS,
        "fidelity": FIDELITY,
        **_inventory(building),
        "turns": turns,
    }
    (building / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _inventory(release: Path) -> dict[str, int]:
    files = [path for path in release.glob("Session*/**/*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _check_complete(out: Path, wanted: dict[str, int]) -> None:
    """Check that ``out`` is the wanted release and that nothing has been taken out of it."""
    remedy = "move it away or delete it, or choose another folder; then run the same command again"
    fault = f"exists and is no demo release: {RECORD} cannot be read"
    with reading(out, "", remedy, fault=fault):
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        found = {key: record[key] for key in wanted}
        recorded = {key: record[key] for key in ("files", "bytes")}
    if found != wanted:
        raise ManifestError(f"{out}: is another demo release ({found}, wanted {wanted}); {remedy}")
    if (inventory := _inventory(out)) != recorded:
        raise ManifestError(
            f"{out}: was changed since it was generated ({inventory}, generated {recorded}); "
            f"{remedy}"
        )
