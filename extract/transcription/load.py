"""Finds Whisper by a folder, a name or a Hub id, and the engine that it is for by its files."""

from __future__ import annotations

from pathlib import Path

from embeddings_store.errors import unknown_name
from extract.transcription.ct2_whisper import CT2_MODEL, FasterWhisper
from extract.transcription.recogniser import Recogniser


def load_recogniser(name: str, device: str = "cpu") -> Recogniser:
    """Load Whisper.

    Args:
        name: A folder in either form, a registry name such as ``whisper-small``, or a Hub id.
        device: Where Transformers' form runs; faster-whisper's takes ``cpu`` or ``cuda``.

    Raises:
        UnknownNameError: There is no such folder, and it is neither a name nor a Hub id.
        ModelLoadError: It is no Whisper that can be read.
        MissingDependencyError: A package is not installed.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _fetched(name)
    if (folder / CT2_MODEL).is_file():
        made: Recogniser = FasterWhisper(folder, device)
    else:
        from extract.transcription.transformers_whisper import TransformersWhisper

        made = TransformersWhisper(folder, device)
    return made


def _fetched(name: str) -> Path:
    from extract.encoders import hub
    from extract.encoders.registry import REGISTRY
    from extract.encoders.resolving import resolve

    known = [row.name for row in REGISTRY if row.architecture == "whisper"]
    if name not in known and not hub.is_hub_id(name):
        unknown_name("folder, Hub id or name of a recogniser of speech", name, known)
    return hub.fetch_model(resolve(name, "audio").source)
