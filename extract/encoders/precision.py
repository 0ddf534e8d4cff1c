"""Lets a frozen model compute its products on a processor in bf16 or int8, and all else in float32.

Norms, softmax and pooling see float32 only, so a vector stays close to that of float32 and, within
``BATCH_TOLERANCE``, the same in any batch.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from embeddings_store.errors import UsageError, unknown_name
from extract.encoders.settings import PRECISIONS

# How far a vector may be from that of the same input in another batch, as a part of its length.
# Sums in another order differ in the last digit of float32, and where such a sum is rounded to bf16
# or to a whole number, it may go to the next one.
BATCH_TOLERANCE = {"float32": 1e-5, "bf16": 1e-2, "int8": 5e-2}

# int8 without -128, so that a weight and its negative are equally far from 0.
_LARGEST = 127
# The scale of a row of zeros: anything above 0 will do.
_SMALLEST = 1e-12
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Names in torch.cpu.get_capabilities() of what makes a precision fast in PyTorch.
_INSTRUCTIONS = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8"),
}


class _LowLayer(nn.Module):
    """A layer that computes in a low precision, and still has the weights that it was made of.

    WavLM reads the weights of four layers instead of calling them; that product stays float32.
    """

    def __init__(self, exact: nn.Module) -> None:
        super().__init__()
        self.exact = exact

    @property
    def weight(self) -> object:
        """The layer's weight in float32."""
        return self.exact.weight

    @property
    def bias(self) -> object:
        """The layer's bias in float32."""
        return self.exact.bias


class Bf16Layer(_LowLayer):
    """A linear layer or a convolution in bf16: eight bits of each factor and of each result."""

    def __init__(self, exact: nn.Module) -> None:
        """Round the weights of a layer."""
        super().__init__(exact)
        self.low = copy.deepcopy(exact).to(torch.bfloat16)

    def forward(self, states: Tensor) -> Tensor:
        """Return in float32 what the layer makes of states, whatever their shape."""
        result: Tensor = self.low(states.to(torch.bfloat16))
        return result.float()


class Int8Linear(_LowLayer):
    """A linear layer whose products are of whole numbers from -127 to 127.

    Each output's weights have a scale of their own, and so has each row of the input: the usual
    scale over a whole batch would make a vector depend on what else is in its batch. Sums are
    exact.
    """

    scales: Tensor
    whole: Tensor

    def __init__(self, exact: nn.Linear) -> None:
        """Round the weights (out, in) of a layer."""
        super().__init__(exact)
        weight = exact.weight.detach()
        scales = weight.abs().amax(dim=1).clamp(min=_SMALLEST) / _LARGEST
        whole = (weight / scales.unsqueeze(1)).round().to(torch.int8)
        self.register_buffer("scales", scales)
        self.register_buffer("whole", whole.t())

    def forward(self, states: Tensor) -> Tensor:
        """Return float32 (..., out) of float32 states (..., in)."""
        rows = states.reshape(-1, states.shape[-1])
        scales = rows.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST) / _LARGEST
        whole = (rows / scales).round_().to(torch.int8)
        result = torch._int_mm(whole, self.whole).float().mul_(scales).mul_(self.scales)
        bias = self.exact.bias
        if isinstance(bias, Tensor):
            result += bias
        return result.reshape(*states.shape[:-1], -1)


def lower_precision(model: nn.Module, precision: str, device: torch.device) -> None:
    """Replace the layers of a model, in place, by such as compute in a precision.

    Args:
        model: A frozen model in float32.
        precision: ``float32`` changes nothing; ``bf16`` linear layers and convolutions, ``int8``
            linear layers.
        device: Where it will run.

    Raises:
        UnknownNameError: There is no such precision.
        UsageError: The device is no processor, or multiplies whole numbers wrongly.
    """
    if precision not in PRECISIONS:
        unknown_name("precision", precision, PRECISIONS)
    if precision == "float32":
        return
    if device.type != "cpu":
        raise UsageError(
            f"--precision {precision} is for frozen encoders on a CPU, and this one runs on "
            f"{device}; add --device cpu, or leave --precision out"
        )
    if precision == "int8":
        _refuse_overflow()
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if precision == "bf16" and type(layer) in (nn.Linear, *_CONVOLUTIONS):
                setattr(module, name, Bf16Layer(layer))
            elif precision == "int8" and type(layer) is nn.Linear:
                setattr(module, name, Int8Linear(layer))


def slower_note(precision: str) -> str:
    """Say that this processor has no instructions for a precision; empty where it has.

    >>> slower_note("float32")
    ''
    """
    wanted = _INSTRUCTIONS.get(precision, ())
    # Older versions of PyTorch do not say what a processor has.
    ask = getattr(torch.cpu, "get_capabilities", None)
    if not wanted or ask is None:
        return ""
    has = ask()
    if any(has.get(name) for name in wanted):
        return ""
    return f"this processor has no {precision} instructions: float32 may be as fast, or faster"


def _refuse_overflow() -> None:
    """Multiply the largest numbers: without VNNI instructions, sums of two overflow 16 bits."""
    factors = torch.full((64, 64), _LARGEST, dtype=torch.int8)
    for sign in (1, -1):
        expected = sign * 64 * _LARGEST**2
        if not bool((torch._int_mm(factors, sign * factors) == expected).all()):
            raise UsageError(
                "--precision int8: whole numbers overflow on this processor, and vectors would be "
                "wrong; use float32 or bf16"
            )
