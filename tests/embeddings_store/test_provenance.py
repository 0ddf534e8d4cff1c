"""Fingerprints, and the record of what made a file."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings_store import errors
from embeddings_store.errors import ProjectError, UnknownNameError, unknown_name
from embeddings_store.provenance import (
    canonical_json,
    changed_settings,
    collect,
    file_digest,
    fingerprint,
    shown_command,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SETTINGS = st.dictionaries(TEXT, st.integers() | st.text("ab", max_size=2))


@given(SETTINGS, SETTINGS)
def test_settings_have_the_same_fingerprint_only_if_they_are_the_same(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
    assert fingerprint(dict(reversed(one.items()))) == fingerprint(one)
    assert bool(changed_settings(one, other)) == (one != other)


@given(PLAIN)
def test_plain_data_comes_back(data: object) -> None:
    assert json.loads(canonical_json(data)) == data


@pytest.mark.parametrize("data", [float("nan"), float("inf"), {1, 2}, Path("x"), b"x"])
def test_what_is_not_plain_is_refused(data: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical_json({"x": data})


def test_changes_are_named() -> None:
    assert changed_settings({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a: 1 -> unset",
        "b: 2 -> 3",
        "c: unset -> 4",
    ]


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (
            ["/usr/bin/tool", "--root", "/home/ada/MELD", "--x=/data/y/", "rel/z.csv", "two words"],
            "tool --root MELD --x=y rel/z.csv 'two words'",
        ),
        (["tool", "\udcff.wav"], "tool '\\udcff.wav'"),
    ],
)
def test_commands_are_shown_without_places(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert shown_command() == shown


def test_the_record_names_software_and_no_machine() -> None:
    record = collect("a command")
    assert record["command"] == "a command"
    assert isinstance(record["packages"], dict)
    assert {"numpy", "h5py", "pandas"} <= set(record["packages"])
    text = canonical_json(record)
    assert str(Path.home()) not in text
    assert platform.node() not in text


def test_a_files_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ProjectError) and kind is not ProjectError
]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_is_also_a_builtin_and_says_its_message_plainly(
    kind: type[ProjectError],
) -> None:
    builtin = (ValueError, OSError, KeyError, RuntimeError, ImportError)
    assert issubclass(kind, builtin)
    assert str(kind("it's broken")) == "it's broken"
    assert kind.exit_code == (2 if issubclass(kind, errors.UsageError) else 3)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown corpus 'x'; Known: none"):
        unknown_name("corpus", "x", [])
