"""Turns the states of one clip or sentence into one vector, over its own frames or tokens only.

A part of a pooling takes states (B, T, D) and a mask (B, T), true where a state belongs to the
input and not to padding, and gives (B, D), or several such columns side by side. Parts are joined
with ``+``, as in ``mean+std``. To add one, write the function, name it in ``POOLINGS``, give its
width in ``architectures.py`` and say there where it means something.

>>> import torch
>>> states = torch.tensor([[[1.0], [3.0], [100.0]]])
>>> mask = torch.tensor([[True, True, False]])
>>> mean(states, mask), maximum(states, mask), first(states, mask)
(tensor([[2.]]), tensor([[3.]]), tensor([[1.]]))
>>> pool("mean+std", states, mask)
tensor([[2., 1.]])
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from extract.encoders.architectures import PERCENTILES, parts_of


def first(states: Tensor, mask: Tensor) -> Tensor:
    """Take the first state: the classification token of BERT and its kin."""
    return states[:, 0]


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average over the valid states."""
    own = states.masked_fill(~mask.unsqueeze(-1), 0.0)
    return own.sum(dim=1) / mask.sum(dim=1, keepdim=True)


def deviation(states: Tensor, mask: Tensor) -> Tensor:
    """Take the standard deviation of the valid states: over their number, so 0 for a single one."""
    apart = states - mean(states, mask).unsqueeze(1)
    variance = mean(apart.square(), mask)
    # The root has no gradient at 0, where a fine-tuning would turn every weight into nan.
    varies = variance > 0
    return torch.where(varies, torch.where(varies, variance, 1.0).sqrt(), 0.0)


def maximum(states: Tensor, mask: Tensor) -> Tensor:
    """Take the maximum over the valid states, per dimension."""
    return states.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)


def percentiles(states: Tensor, mask: Tensor) -> Tensor:
    """Take :data:`PERCENTILES` of the valid states per dimension, linear between two states.

    Returns:
        (B, 3 D): all dimensions' lowest percentile first.
    """
    ordered = states.masked_fill(~mask.unsqueeze(-1), float("inf")).sort(dim=1).values
    last = mask.sum(dim=1) - 1
    columns = []
    for percentile in PERCENTILES:
        place = last * (percentile / 100)
        below = _state_at(ordered, place.floor())
        above = _state_at(ordered, place.ceil())
        share = (place - place.floor()).to(states.dtype)
        columns.append(torch.lerp(below, above, share.unsqueeze(1)))
    return torch.cat(columns, dim=1)


def _state_at(states: Tensor, places: Tensor) -> Tensor:
    """Return (B, D): of each row the state at its place (B,)."""
    return states[torch.arange(len(states), device=states.device), places.long()]


def thirds(states: Tensor, mask: Tensor) -> Tensor:
    """Average the first and the last third of the valid states, each rounded up to whole states.

    Returns:
        (B, 2 D): the first third, then the last.
    """
    counts = mask.sum(dim=1, keepdim=True)
    third = (counts + 2) // 3
    number = mask.cumsum(dim=1) - 1
    of_first = mask & (number < third)
    of_last = mask & (number >= counts - third)
    return torch.cat([mean(states, of_first), mean(states, of_last)], dim=1)


def cls_dist(states: Tensor, mask: Tensor) -> Tensor:
    """Average the classification and the distillation token.

    The Audio Spectrogram Transformer reads these two (Gong et al. 2021, section 2.2); Transformers'
    ``pooler_output`` is the same sum.
    """
    return (states[:, 0] + states[:, 1]) / 2


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "first": first,
    "mean": mean,
    "std": deviation,
    "max": maximum,
    "percentiles": percentiles,
    "thirds": thirds,
    "cls_dist": cls_dist,
}


def pool(pooling: str, states: Tensor, mask: Tensor) -> Tensor:
    """Turn states into one vector per input.

    Args:
        pooling: Keys of ``POOLINGS``, joined with ``+``.
        states: (B, T, D).
        mask: (B, T), true for an input's own states.

    Returns:
        (B, :func:`extract.encoders.architectures.width_of` times D), one part after the other.
    """
    columns = [POOLINGS[part](states, mask) for part in parts_of(pooling)]
    return columns[0] if len(columns) == 1 else torch.cat(columns, dim=1)
