"""What the commands say where a package of the optional extras is not installed."""

from __future__ import annotations

from collections.abc import Callable

from embeddings_store.errors import MissingDependencyError

EXTRA = {
    "PIL",
    "accelerate",
    "av",
    "huggingface_hub",
    "librosa",
    "safetensors",
    "soundfile",
    "tokenizers",
    "torch",
    "transformers",
}


def with_extra(run: Callable[[], int]) -> int:
    """Run, and say which extra brings a package that is not installed.

    Raises:
        MissingDependencyError: A package of the extra ``extract`` is missing.
    """
    try:
        return run()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        raise MissingDependencyError(
            f"this needs the package {error.name}, which is not installed; install the extra: "
            "pip install 'emotion-fusion[extract]'"
        ) from error
