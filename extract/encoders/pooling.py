"""Turns the states of one clip or sentence into one vector, over its own frames or tokens only.

A pooling takes states (B, T, D) and a mask (B, T), true where a state belongs to the input and not
to padding, and gives (B, D). To add one, write the function, name it in ``POOLINGS``, and in
``architectures.py`` say where it means something.

>>> import torch
>>> states = torch.tensor([[[1.0], [3.0], [100.0]]])
>>> mask = torch.tensor([[True, True, False]])
>>> mean(states, mask), maximum(states, mask), first(states, mask)
(tensor([[2.]]), tensor([[3.]]), tensor([[1.]]))
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def first(states: Tensor, mask: Tensor) -> Tensor:
    """Take the first state: the classification token of BERT and its kin."""
    return states[:, 0]


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average over the valid states."""
    own = states.masked_fill(~mask.unsqueeze(-1), 0.0)
    return own.sum(dim=1) / mask.sum(dim=1, keepdim=True)


def maximum(states: Tensor, mask: Tensor) -> Tensor:
    """Take the maximum over the valid states, per dimension."""
    return states.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)


def cls_dist(states: Tensor, mask: Tensor) -> Tensor:
    """Average the classification and the distillation token.

    The Audio Spectrogram Transformer reads these two (Gong et al. 2021, section 2.2); Transformers'
    ``pooler_output`` is the same sum.
    """
    return (states[:, 0] + states[:, 1]) / 2


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "first": first,
    "mean": mean,
    "max": maximum,
    "cls_dist": cls_dist,
}
