"""Fetches model files from the Hugging Face Hub into its own cache, once.

It never hangs where there is no network.
Everything is loaded from the snapshot folder that this module returns, so one commit serves a whole
run, and loading a Hub id and loading a folder are the same code.
"""

from __future__ import annotations

import re
from pathlib import Path

from embeddings_store.errors import MissingDependencyError, ModelLoadError
from extract.encoders.architectures import ELSEWHERE

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")

# Seconds for the Hub to answer the first request; the library's own default is 10, and five retries
# on some requests.
_ANSWER_TIMEOUT_S = 5.0

_DESCRIPTION = ("config.json", "1_Pooling/config.json", "config_sentence_transformers.json")
_FRONT_END = (
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spm.model",
    "special_tokens_map.json",
    "added_tokens.json",
)
_SAFETENSORS = ("model*.safetensors", "model.safetensors.index.json")
_TORCH = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def is_hub_id(name: str) -> bool:
    """Return whether ``name`` has the form of a Hub id, ``owner/name``.

    >>> is_hub_id("facebook/wav2vec2-base"), is_hub_id("wav2vec2-base"), is_hub_id("./models/mine")
    (True, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def fetch_description(hub_id: str, revision: str | None = None) -> Path:
    """Return a snapshot folder that holds ``config.json``.

    Nothing is asked of the Hub where it is cached.

    Raises:
        ModelLoadError: If it is not cached and cannot be had from the Hub.
    """
    cached = _snapshot(hub_id, revision, _DESCRIPTION, offline=True)
    if cached is not None and (cached / "config.json").is_file():
        return cached
    return _download(hub_id, revision, _DESCRIPTION)


def fetch_model(hub_id: str, revision: str | None = None) -> Path:
    """Return a snapshot folder that holds weights and all that goes with them.

    A cached snapshot is used as it is, without asking the Hub for a newer one: the commit is part
    of what is recorded. Of weights in several formats only one is fetched, safetensors before
    PyTorch's own.

    Args:
        hub_id: ``owner/name``.
        revision: Commit, tag or branch; None for the default branch.

    Raises:
        ModelLoadError: If the model is not cached and cannot be had from the Hub.
    """
    everything = (*_DESCRIPTION, *_FRONT_END, *_SAFETENSORS)
    cached = _snapshot(hub_id, revision, everything, offline=True)
    if cached is not None and has_weights(cached):
        return cached
    folder = _download(hub_id, revision, everything)
    return folder if has_weights(folder) else _download(hub_id, revision, (*everything, *_TORCH))


def has_weights(folder: Path) -> bool:
    """Return whether a folder holds weights in a format that Transformers reads."""
    return any(folder.glob("model*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def commit_of(folder: Path) -> str:
    """Return the commit that a snapshot folder of the Hub's cache holds, else an empty string.

    >>> commit_of(Path("models--a--b/snapshots") / ("0" * 40)) == "0" * 40
    True
    >>> commit_of(Path("models/mine"))
    ''
    """
    is_snapshot = folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) is not None
    return folder.name if is_snapshot else ""


def _download(hub_id: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    folder = _snapshot(hub_id, revision, patterns, offline=False)
    if folder is None or not (folder / "config.json").is_file():
        raise ModelLoadError(
            f"{hub_id} on the Hub has no config.json, so it is not a Transformers model; "
            f"{ELSEWHERE}"
        )
    return folder


def _snapshot(
    hub_id: str, revision: str | None, patterns: tuple[str, ...], *, offline: bool
) -> Path | None:
    """Ask for the files of one repository.

    None where they are not cached and the question was an offline one.
    """
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise MissingDependencyError(
            "loading encoders needs huggingface_hub; install the extra 'extract'"
        ) from None
    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=offline,
                etag_timeout=_ANSWER_TIMEOUT_S,
            )
        )
    except LocalEntryNotFoundError:
        if offline:
            return None
        reason = "the Hub cannot be reached"
        if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set"
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())[:200]
    at = f"@{revision}" if revision else ""
    raise ModelLoadError(
        f"{hub_id}{at} is not in the local Hugging Face cache and {reason}; run 'hf download "
        f"{hub_id}' once with network, or give a local folder"
    )
