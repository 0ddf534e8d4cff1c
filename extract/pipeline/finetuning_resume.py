"""What earlier runs of a fine-tuning left: what can be gone on from, and what has to go."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from embeddings_store.atomic import make_folder, write_json
from embeddings_store.errors import ManifestError, ModelLoadError
from embeddings_store.reading import read_json, reading
from extract.finetuning.checkpoints import MARKER, remove
from extract.pipeline.finetuning_prepare import PreparedFinetuning
from extract.pipeline.write import Notify

OVERWRITING = "overwriting"


def start_over(prepared: PreparedFinetuning) -> None:
    """Forget an earlier training, once.

    An interrupted ``--overwrite`` goes on like any other run.
    """
    running = prepared.dump.running
    if (running / OVERWRITING).is_file():
        return
    remove(prepared.model_folder)
    shutil.rmtree(running, ignore_errors=True)
    make_folder(running)
    (running / OVERWRITING).touch()


def remember_to_keep(folder: Path) -> None:
    """Note in the marker of a finished model that it stays when its vectors are made."""
    marker = read_json(folder / MARKER, raises=ModelLoadError)
    write_json(folder / MARKER, {**marker, "kept": True})


def remove_leftovers(prepared: PreparedFinetuning, notify: Notify) -> None:
    """Remove what a finished job needs no more, and what a kill at its very end left.

    Models that someone keeps stay.
    """
    shutil.rmtree(prepared.dump.running, ignore_errors=True)
    folder = prepared.model_folder
    if _is_kept(folder):
        return
    remove(folder)
    with suppress(OSError):  # The folders above, as far as they are empty.
        for above in list(folder.parents)[:3]:
            above.rmdir()
    if prepared.job.keeps_model:
        notify("the vectors are there, but their model was not kept; --overwrite trains it again")


def _is_kept(folder: Path) -> bool:
    with suppress(ManifestError), reading(folder / MARKER, "a marker"):
        return bool(read_json(folder / MARKER)["kept"])
    return False
