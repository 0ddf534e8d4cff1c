"""A checkpoint that somebody else could write to runs nothing when a training goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_encoders
import torch
import tuning

from embeddings_store.errors import ModelLoadError
from extract.finetuning.checkpoints import mark_complete, read_marker

ENCODER = "bert-base-uncased"


class Payload:
    """An object whose pickle creates ``marker`` when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def _interrupted(job: object, after: int) -> None:
    done: list[int] = []

    def advance(steps: int) -> None:
        done.append(steps)
        if steps and sum(done) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning.run(job, tuning.quiet(training=advance))


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_pickles_of_a_checkpoint_are_not_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_encoders.save(tuning.spec_named(ENCODER), tmp_path)
    tuning.give_inputs(monkeypatch, tuning.items("text"))
    job = tuning.job(tuning.write_corpus(tmp_path / "c"), model, "text", store=tmp_path / "e")
    _interrupted(job, 3)
    (checkpoint,) = tmp_path.rglob("checkpoint-*")
    about = read_marker(checkpoint)
    marker = tmp_path / "executed"
    torch.save(Payload(marker), checkpoint / name)
    torch.load(checkpoint / name, weights_only=False)
    assert marker.exists(), "the payload does not work, so the test shows nothing"
    marker.unlink()
    # Whoever can write the checkpoint can write its marker, too.
    assert about is not None
    mark_complete(checkpoint, {key: about[key] for key in about if key != "files"})
    if name == "rng_state.pth":  # Every epoch draws from a seed of its own, so nobody loads it.
        tuning.run(job)
    else:
        with pytest.raises(ModelLoadError, match=r"holds what is no tensors, and is never loaded"):
            tuning.run(job)
    assert not marker.exists()
