"""Finds the encoder that a user names: a row of the registry, a folder, or a Hub id.

Imports nothing heavy, so ``--help`` and ``--dry-run`` stay fast.

>>> resolve("wav2vec2-base").spec.pooling
'mean'
>>> resolve("wav2vec2-bose")
Traceback (most recent call last):
    ...
embeddings_store.errors.UnknownNameError: unknown encoder ...; did you mean 'wav2vec2-base'? ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from embeddings_store.errors import ModelLoadError, UsageError, did_you_mean, unknown_name
from extract.encoders import hub, registry
from extract.encoders.architectures import kind_of
from extract.encoders.describe import describe
from extract.encoders.encoder_spec import EncoderSpec, spec_of


@dataclass(frozen=True, slots=True)
class ResolvedEncoder:
    """An encoder that exists as far as can be told without loading it.

    Attributes:
        spec: What it is.
        source: Folder or Hub id to load from; of features the package.
        is_local: Whether ``source`` is a folder.
    """

    spec: EncoderSpec
    source: str
    is_local: bool


def resolve(encoder: str, modality: str | None = None) -> ResolvedEncoder:
    """Find the encoder that a registry name, a local folder or a Hub id stands for, in this order.

    A folder whose name is a row's, and whose ``model_type`` agrees, takes that row's pooling; any
    other folder and any Hub id without a row takes what its sentence-transformers file
    ``1_Pooling/config.json`` says, else its architecture's.

    Args:
        encoder: For example ``"wav2vec2-base"``, ``"models/fold-3"`` or ``"org/name"``.
        modality: What the encoder has to read; None for anything.

    Raises:
        UnknownNameError: If the name is in no table and is neither a folder nor a Hub id.
        UsageError: If the encoder reads another modality, or is of an architecture that this
            project does not know.
        ModelLoadError: If the folder or the Hub repository has no readable ``config.json``, or the
            Hub cannot be reached.
    """
    found = _find(encoder)
    if modality is not None and found.spec.modality != modality:
        known = ", ".join(registry.encoder_names(modality))
        raise UsageError(
            f"encoder {encoder!r} reads {found.spec.modality}, not {modality}; {modality} "
            f"encoders: {known}"
        )
    return found


def _find(encoder: str) -> ResolvedEncoder:
    for row in registry.REGISTRY:
        if encoder in (row.name, row.hub_id):
            return ResolvedEncoder(row, row.hub_id, is_local=False)
    for row in registry.FEATURES:
        if encoder == row.name:
            return ResolvedEncoder(row, row.architecture, is_local=False)
    folder = Path(encoder).expanduser()
    if folder.is_dir():
        spec = _spec_of_folder(folder, folder.resolve().name)
        return ResolvedEncoder(spec, str(folder), is_local=True)
    if folder.exists():
        raise UsageError(
            f"{encoder} is a file; an encoder is a folder with config.json, a Hub id or one of "
            "the known names"
        )
    if not hub.is_hub_id(encoder):
        if "/" in encoder or "\\" in encoder:
            raise UsageError(
                f"no folder {encoder}; an encoder is a folder with config.json, a Hub id or one "
                "of the known names"
            )
        unknown_name("encoder", encoder, registry.encoder_names())
    return _find_on_hub(encoder)


def _find_on_hub(hub_id: str) -> ResolvedEncoder:
    try:
        snapshot = hub.fetch_description(hub_id)
    except ModelLoadError as error:
        hint = did_you_mean(hub_id, [row.hub_id for row in registry.REGISTRY])
        raise ModelLoadError(f"{error}{hint}") from None
    spec = _spec_of_folder(snapshot, _last_part(hub_id))
    return ResolvedEncoder(replace(spec, hub_id=hub_id, note=""), hub_id, is_local=False)


def _spec_of_folder(folder: Path, name: str) -> EncoderSpec:
    found = describe(folder)
    for row in registry.REGISTRY:
        same_name = name in (row.name, _last_part(row.hub_id))
        if same_name and row.architecture == found.architecture:
            return replace(
                row,
                dim=found.dim,
                prefix=found.prefix or row.prefix,
                layers=found.layers,
                padding_harmless=found.padding_harmless,
            )
    return spec_of(
        name,
        found.architecture,
        "",
        found.dim,
        found.layers,
        prefix=found.prefix,
        pooling=found.pooling or kind_of(found.architecture).pooling,
        padding_harmless=found.padding_harmless,
    )


def _last_part(hub_id: str) -> str:
    return hub_id.rsplit("/", 1)[1]
