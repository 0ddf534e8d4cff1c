"""With how many threads a frozen encoder computes on a CPU: measured on the job's own rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from embeddings_store.errors import UsageError

if TYPE_CHECKING:
    from extract.pipeline.encode import VectorMaker

# Below, measuring costs more than it can save; PyTorch's own number then stands.
MEASURED_FROM = 64
# Threads wait for each other: they have to save so much of the time of a single one.
WORTH = 1.15
_ROUNDS = 2

Clock = Callable[[], float]


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads while the block runs.

    Args:
        threads: 1 or more; 0 leaves the number as it is.

    Raises:
        UsageError: It is below 0.
    """
    import torch

    if threads < 0:
        raise UsageError(f"--threads {threads}: expected 1 or more, or 0 to measure")
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads(
    maker: VectorMaker, items: Sequence[Any], clock: Clock = time.perf_counter
) -> tuple[int, str]:
    """Measure one thread against all that PyTorch would take, in turn, over the same inputs.

    The clock on the wall is what is asked for: where others use the processor, threads that wait
    for each other lose more than they gain, and one is taken.

    Args:
        maker: What makes the vectors, on a CPU.
        items: A few inputs of the job, at least one.
        clock: Gives seconds.

    Returns:
        How many to take, and a sentence that says why; no sentence where there is no choice.
    """
    import torch

    most = torch.get_num_threads()
    if most == 1:
        return 1, ""
    maker.encode(items[:1])  # the first one is slow: memory is taken
    took_s: dict[int, float] = {}
    for _ in range(_ROUNDS):
        for threads in (1, most):
            with computing_with(threads):
                started = clock()
                maker.encode(items)
                spent_s = clock() - started
            took_s[threads] = min(spent_s, took_s.get(threads, spent_s))
    chosen = most if took_s[1] >= WORTH * took_s[most] else 1
    counted = "1 thread" if chosen == 1 else f"{chosen} threads"
    return chosen, (
        f"computing with {counted}: {took_s[1] / len(items):.2g} s a row with 1, "
        f"{took_s[most] / len(items):.2g} s with {most}; --threads sets it"
    )
