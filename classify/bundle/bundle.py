"""A fitted system with all that it takes to answer new vectors and to judge what it is worth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from classify.bundle.card import model_card
from classify.bundle.folder import (
    ADVICE,
    ENCODERS,
    EXPECTED,
    MANIFEST,
    NO_ENCODERS,
    read_folder,
    write_folder,
)
from classify.bundle.packing import Arrays, fields, listed, named, pack
from classify.bundle.seen_rows import SeenRows
from classify.bundle.systems import restore_system, system_state, try_out
from classify.systems.fitted_system import FittedSystem
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.errors import StoreError
from embeddings_store.json_values import text, whole
from embeddings_store.reading import is_file, reading
from embeddings_store.vectors.arrays import EncoderRef

OWN_FOLDER = re.compile(rf"{ENCODERS}/[0-9]{{1,2}}")
ORIGIN = ("created", "command", "commit", "software")


@dataclass(frozen=True, slots=True)
class BundleEncoder:
    """The encoder of one view: which, and what it does to a clip or a text.

    Attributes:
        view: The view's name in the system's expression.
        ref: Which vectors it makes; the fingerprint is over weights and every setting.
        width: Of a vector, D.
        settings: Everything that changes a vector, as the store records it: pooling, preprocessing.
        weights_digest: SHA-256 of its weights; empty for what was imported.
        source: The Hub id, or the name of the folder, that it was loaded from.
        revision: Commit of the Hub, or empty.
        licence: Of its weights, or empty.
        files: Where the bundle holds it, such as ``encoders/0``; empty where it is found elsewhere.
    """

    view: str
    ref: EncoderRef
    width: int
    settings: Mapping[str, Any]
    weights_digest: str = ""
    source: str = ""
    revision: str = ""
    licence: str = ""
    files: str = ""

    def state(self) -> dict[str, Any]:
        """Return the fields that :meth:`restore` takes."""
        own = {"files": self.files} if self.files else {}
        return {
            **own,
            "view": self.view,
            "name": self.ref.name,
            "fingerprint": self.ref.fingerprint,
            "modality": self.ref.modality,
            "layer": self.ref.layer,
            "width": self.width,
            "settings": json.dumps(dict(self.settings), sort_keys=True),
            "weights_digest": self.weights_digest,
            "source": self.source,
            "revision": self.revision,
            "licence": self.licence,
        }

    @classmethod
    def restore(cls, data: Any) -> BundleEncoder:
        """Return what :meth:`state` gave.

        Raises:
            ValueError: The fields are not those.
        """
        texts = ("view", "name", "fingerprint", "modality", "weights_digest", "source")
        checks = {
            **dict.fromkeys((*texts, "revision", "licence"), text),
            "layer": _layer,
            "width": _width,
            "settings": _settings,
        }
        if isinstance(data, dict) and "files" in data:
            checks["files"] = _files
        found = fields(data, "an encoder", checks)
        ref = EncoderRef(
            found.pop("name"), found.pop("fingerprint"), found.pop("modality"), found.pop("layer")
        )
        return cls(ref=ref, **found)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What :func:`read_bundle` returns.

    Attributes:
        system: The fitted system.
        labels: The label set; codes are positions in ``labels.classes``.
        encoders: One for each view of the system.
        seen: Which rows it was fitted on.
        about: Where it is from and what it is worth, as plain text by name: see
            :mod:`classify.bundle.export`.
        folder: Where it was read from; none where it was made in memory.
    """

    system: FittedSystem
    labels: LabelSet
    encoders: tuple[BundleEncoder, ...]
    seen: SeenRows
    about: Mapping[str, str]
    folder: Path | None = field(default=None, compare=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that go in, each once."""
        return tuple(dict.fromkeys(encoder.ref.modality for encoder in self.encoders))

    def encoder(self, view: str) -> BundleEncoder:
        """Return the encoder of a view.

        Raises:
            KeyError: The system has no such view.
        """
        for encoder in self.encoders:
            if encoder.view == view:
                return encoder
        raise KeyError(view)


def write_bundle(folder: Path, bundle: Bundle, encoders: Mapping[str, Path] = NO_ENCODERS) -> None:
    """Write a bundle into a folder of its own, whole or not at all.

    One that is there and says the same, but for when and by which command it was made, stays: a run
    that was killed after it goes on when the same command is run again.

    Args:
        folder: What is made.
        bundle: What is written.
        encoders: Its encoders' ``files`` to the folders that hold them now.

    Raises:
        UsageError: Something else of this name is there, or a part has no form in a bundle.
        StoreFullError, StoreAccessError: It cannot be written.
    """
    state = {
        "system": system_state(bundle.system),
        "labels": bundle.labels.to_dict(),
        "encoders": [encoder.state() for encoder in bundle.encoders],
        "seen": bundle.seen.state(),
        "about": dict(bundle.about),
    }
    if is_file(folder / MANIFEST) and _is_same(read_folder(folder), state):
        return
    write_folder(folder, state, model_card(bundle.about, folder.name), encoders)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle; nothing in it is executed, and everything is checked.

    Raises:
        StoreNotFoundError: There is no bundle.
        StoreError: It is of a newer version, incomplete, altered, or its parts do not fit together.
    """
    data = read_folder(folder)
    with reading(folder, EXPECTED, ADVICE, StoreError):
        checks = {
            "system": restore_system,
            "labels": LabelSet.from_dict,
            "encoders": listed(BundleEncoder.restore),
            "seen": SeenRows.restore,
            "about": named(text),
        }
        found = fields(data, "a bundle", checks)
        bundle = Bundle(**{**found, "encoders": tuple(found["encoders"])}, folder=folder)
        if len(bundle.labels.classes) != bundle.system.n_classes:
            raise ValueError("its system answers another number of classes than its label set has")
        if len({encoder.view for encoder in bundle.encoders}) != len(bundle.encoders):
            raise ValueError("two encoders are of one view")
        for encoder in bundle.encoders:
            if encoder.files and not is_file(folder / encoder.files / "config.json"):
                raise ValueError(f"{encoder.files} holds no config.json")
        try_out(bundle.system, {encoder.view: encoder.width for encoder in bundle.encoders})
    return bundle


def _is_same(there: Any, state: Mapping[str, Any]) -> bool:
    """Say whether two bundles hold the same, whenever and by whichever command they were made."""
    one, other = _without_origin(there), _without_origin(state)
    if one is None or other is None or one[0] != other[0] or set(one[1]) != set(other[1]):
        return False
    return all(np.array_equal(array, other[1][name]) for name, array in one[1].items())


def _without_origin(state: Any) -> tuple[Any, Arrays] | None:
    if not isinstance(state, dict) or not isinstance(state.get("about"), dict):
        return None
    arrays: Arrays = {}
    about = {name: fact for name, fact in state["about"].items() if name not in ORIGIN}
    return pack({**state, "about": about}, arrays), arrays


def _layer(value: Any) -> int:
    return -1 if value == -1 else whole(value)


def _width(value: Any) -> int:
    if not whole(value):
        raise ValueError("a vector has one column or more")
    return whole(value)


def _files(value: Any) -> str:
    if not OWN_FOLDER.fullmatch(text(value)):
        raise ValueError(f"{value!r} is no folder of an encoder")
    return text(value)


def _settings(value: Any) -> dict[str, Any]:
    with reading("settings", "JSON"):
        found = json.loads(text(value))
    if not isinstance(found, dict):
        raise ValueError("is no object")
    return found
