"""The processes of one training that ``torchrun`` or ``accelerate launch`` started.

One writes, the others help to train.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

# Helpers wait while the writer reads, dumps and assembles, which for a large corpus takes longer
# than the usual half hour.
PATIENCE = timedelta(days=7)


def rank() -> int:
    """Return this process' number, 0 for the one that writes."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def hush() -> None:
    """Keep PyTorch's C++ warnings off the terminal of a distributed run.

    To be called before PyTorch is imported.

    It warns of looking for unused parameters, which there are wherever a layer was dropped or
    nothing was masked.
    """
    if size() > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def local_device(name: str) -> str:
    """Return the device for this process: each process of a machine takes a GPU of its own."""
    import torch

    if size() > 1 and name in {"auto", "cuda"} and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return name


def agree(decision: Any, device_type: str) -> Any:
    """Return what the process of rank 0 decided, in all processes; they meet here.

    Args:
        decision: Plain data; that of rank 0 counts.
        device_type: ``cpu`` or ``cuda``, where the training runs.
    """
    if size() == 1:
        return decision
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=device_type == "cpu", timeout=PATIENCE)
    return broadcast_object_list([decision])[0]


def meet() -> None:
    """Wait for all processes; :func:`agree` came before."""
    if size() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
