"""Nested plain data with arrays in it, taken apart into JSON and a flat list of named arrays.

What is read back is checked field by field: a part has exactly the fields that its kind has, each
of the type, shape and range that it must have. Nothing names a class or a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.json_values import text

ARRAY = "array"
Arrays = dict[str, NDArray[np.generic]]
Check = Callable[[Any], Any]


def pack(data: Any, arrays: Arrays) -> Any:
    """Return data with each array replaced by its name, and put the array under that name.

    Args:
        data: Mappings, sequences, text, numbers, truth values, nothing, and arrays.
        arrays: Where arrays go.

    Raises:
        TypeError: There is something else in it.

    >>> arrays: Arrays = {}
    >>> pack({"mean": np.zeros(2), "c": 1.0}, arrays)
    {'mean': {'array': '0'}, 'c': 1.0}
    >>> unpack({"mean": {"array": "0"}, "c": 1.0}, arrays)
    {'mean': array([0., 0.]), 'c': 1.0}
    """
    if isinstance(data, np.ndarray):
        name = str(len(arrays))
        arrays[name] = data
        return {ARRAY: name}
    if isinstance(data, Mapping):
        return {str(key): pack(value, arrays) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [pack(value, arrays) for value in data]
    if data is None or isinstance(data, str | bool | int | float):
        return data
    raise TypeError(f"{type(data).__name__} cannot be written into a bundle")


def unpack(data: Any, arrays: Mapping[str, NDArray[np.generic]]) -> Any:
    """Return what :func:`pack` was given; no array is used twice, and none is left over.

    Args:
        data: What it returned.
        arrays: Name to array, of any shape (...).

    Raises:
        KeyError: An array is not there.
        ValueError: One belongs to nothing.
    """
    left = dict(arrays)
    whole = _unpack(data, left)
    if left:
        raise ValueError(f"the array {next(iter(left))!r} belongs to no part")
    return whole


def _unpack(data: Any, arrays: Arrays) -> Any:
    if isinstance(data, dict):
        if set(data) == {ARRAY}:
            return arrays.pop(data[ARRAY])
        return {key: _unpack(value, arrays) for key, value in data.items()}
    if isinstance(data, list):
        return [_unpack(value, arrays) for value in data]
    return data


def fields(data: Any, what: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the fields of a part, each checked.

    Args:
        data: The part.
        what: What it is, for messages.
        checks: Every field that it has, and its check.

    Raises:
        ValueError: It is no part, lacks a field, has another, or a field is not as it must be.
    """
    if not isinstance(data, dict) or set(data) != set(checks):
        there = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{what} must have exactly the fields {sorted(checks)}, not {there}")
    found = {}
    for name, check in checks.items():
        try:
            found[name] = check(data[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what}, field {name!r}: {error}") from error
    return found


def listed(check: Check) -> Check:
    """Return a check of a list whose entries all pass another check."""

    def checked(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is no list")
        return [check(entry) for entry in value]

    return checked


def named(check: Check) -> Check:
    """Return a check of a mapping from text whose values all pass another check."""

    def checked(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} is no mapping")
        return {text(name): check(entry) for name, entry in value.items()}

    return checked


def floats(*shape: int) -> Check:
    """Return a check of finite floating numbers.

    Args:
        shape: How long each axis is; -1 for any length.
    """
    return lambda value: _array(value, (np.float32, np.float64), shape)


def codes(*shape: int) -> Check:
    """Return a check of whole numbers of 0 or more, given as int32 or int64.

    Args:
        shape: How long each axis is; -1 for any length.
    """

    def checked(value: Any) -> NDArray[Any]:
        array = _array(value, (np.int32, np.int64), shape)
        if array.size and array.min() < 0:
            raise ValueError("a number is below 0")
        return array

    return checked


def class_codes(value: Any, n_classes: int) -> NDArray[np.int64]:
    """Return the codes of one class or more (k,), ascending, each below the number of classes.

    Raises:
        ValueError: They are not.
    """
    array: NDArray[np.int64] = codes(-1)(value)
    if not len(array) or array[-1] >= n_classes or (np.diff(array) <= 0).any():
        raise ValueError(f"{array.tolist()} are no codes of {n_classes} classes")
    return array


def _array(value: Any, types: Sequence[type], shape: tuple[int, ...]) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype not in [np.dtype(t) for t in types]:
        raise ValueError("is no array of the type that was expected")
    fits = value.ndim == len(shape)
    if not fits or any(
        want not in (-1, size) for want, size in zip(shape, value.shape, strict=True)
    ):
        raise ValueError(f"has the shape {value.shape}, expected is {shape}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError("holds a number that is not finite")
    return value  # in the order that it was learnt in: sums of another one have other last bits
