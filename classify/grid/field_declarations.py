"""What the fields of a specification are for: every one declares whether it changes the numbers.

A specification is a frozen dataclass of everything that a result is computed from. The key under
which the result is kept is a digest over the fields that change its numbers, so a field that nobody
thought about would mean a stale result. Hence none may be without a declaration.

>>> from dataclasses import dataclass, field
>>> @every_field_declared
... @dataclass(frozen=True)
... class Shape:
...     width: int = field(metadata=CHANGES_NUMBERS)
...     where: str = field(metadata=changes_no_number("the same numbers lie elsewhere"))
>>> numbers_of(Shape(3, "here"))
{'width': 3}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

_ROLE, _REASON = "role", "reason"
_NUMBERS, _NO_NUMBER, _PART = "changes numbers", "changes no number", "has fields of its own"

CHANGES_NUMBERS: Mapping[str, str] = {_ROLE: _NUMBERS}
ITS_FIELDS_DECLARE: Mapping[str, str] = {_ROLE: _PART}  # another specification, its fields are ours


def changes_no_number(reason: str) -> Mapping[str, str]:
    """Return the declaration of a field that the numbers do not depend on.

    Args:
        reason: Why they do not, for whoever reads or tests the specification.
    """
    return {_ROLE: _NO_NUMBER, _REASON: reason}


def every_field_declared(specification: Class) -> Class:
    """Check a dataclass when it is made; a decorator.

    Raises:
        TypeError: A field does not declare whether it changes the numbers.
    """
    for field in fields(specification):
        role = field.metadata.get(_ROLE)
        undeclared = role not in {_NUMBERS, _NO_NUMBER, _PART}
        if undeclared or (role == _NO_NUMBER and not field.metadata[_REASON]):
            raise TypeError(
                f"{specification.__name__}.{field.name} does not declare whether it changes the "
                "numbers; give it the metadata CHANGES_NUMBERS or changes_no_number(reason)"
            )
    return specification


def numbers_of(specification: Any) -> dict[str, object]:
    """Return every field that changes the numbers, by name, as plain JSON types.

    Fields of a specification inside it stand beside its own.
    """
    found: dict[str, object] = {}
    for field in fields(specification):
        value = getattr(specification, field.name)
        if field.metadata[_ROLE] == _PART:
            found |= numbers_of(value)
        elif field.metadata[_ROLE] == _NUMBERS:
            found[field.name] = plain(value)
    return found


def reasons_of(specification: type) -> dict[str, str]:
    """Return every field that changes no number, by name, with the reason."""
    return {
        field.name: field.metadata[_REASON]
        for field in fields(specification)
        if field.metadata[_ROLE] == _NO_NUMBER
    }


def plain(value: object) -> object:
    """Return a value as JSON has it: dataclasses and mappings as objects, tuples as arrays.

    Raises:
        TypeError: It holds something else, such as a path, that a digest must not depend on.

    >>> plain((1, {"a": None}))
    [1, {'a': None}]
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be part of a digest: {value!r}")
