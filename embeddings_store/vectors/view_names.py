"""Several views of one modality: how they are written down, and which files they are.

    [NAME=]MODALITY[:ENCODER[@FINGERPRINT]][.LAYERS]

``audio``, ``audio:whisper-small``, ``audio:whisper-small.L5``, ``ears=audio.L4-8``, ``audio.Lall``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry, matching, without_inner_folds

GRAMMAR = "[NAME=]MODALITY[:ENCODER[@FINGERPRINT]][.L4 | .L4-8 | .L2,5 | .Lall]"
LAYERS = re.compile(r"all|\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*")
WRITTEN = re.compile(
    r"(?:(?P<name>[^=]+)=)?(?P<modality>[^=:.]+)(?::(?P<encoder>[^=]+?))?"
    rf"(?:\.L(?P<layers>{LAYERS.pattern}))?"
)
# Marks that separate views in result tables and in expressions.
RESERVED = re.compile(r"[+,=()\"\s]")


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """One option ``--view``.

    Attributes:
        name: What it is called in results; with several layers, what their names begin with.
        modality: The modality.
        encoder: ``NAME`` or ``NAME@FINGERPRINT``; empty for the only one.
        layers: ``all``, or numbers and ranges such as ``4-8``; empty for the only one.
    """

    name: str
    modality: str
    encoder: str = ""
    layers: str = ""

    @property
    def has_several(self) -> bool:
        """Whether more than one layer is asked for."""
        return bool(self.layers) and not self.layers.isdigit()


def read_view(text: str) -> ViewRequest:
    """Read what ``--view`` was given.

    >>> read_view("audio:whisper-small.L5").name, read_view("ears=audio.L4-8").layers
    ('audio:whisper-small.L5', '4-8')

    Raises:
        UsageError: It is not of this form.
    """
    match = WRITTEN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--view {text!r} is not of the form {GRAMMAR}")
    given = match.groupdict(default="")
    name = given["name"]
    if not name:
        name = given["modality"] + (f":{given['encoder']}" if given["encoder"] else "")
        if given["layers"].isdigit():
            name += f".L{given['layers']}"
    if RESERVED.search(name):
        raise UsageError(
            f"--view {text!r}: a view's name holds no blank and none of + , = ( ) and quotes, "
            "which separate views in results"
        )
    return ViewRequest(name, given["modality"], given["encoder"], given["layers"])


def written_view(ref: EncoderRef) -> str:
    """Return the ``--view`` that names an encoder and layer, whatever else the store holds.

    >>> written_view(EncoderRef("enc.L4", "0123456789ab", "audio", layer=4))
    'audio:enc@0123456789ab.L4'
    """
    layer = f".L{ref.layer}" if ref.layer >= 0 else ""
    return f"{ref.modality}:{ref.name.removesuffix(layer)}@{ref.fingerprint}{layer}"


def short_views(names: Sequence[str]) -> str:
    """Join the names of views by ``+``, three layers or more of one stem as ``--view`` writes them.

    >>> short_views(["audio.L0", "audio.L1", "audio.L2", "audio.L5", "text"])
    'audio.L0-2,5+text'
    >>> short_views(["audio.L0", "audio.L5", "text"])
    'audio.L0+audio.L5+text'
    """
    parts: list[str] = []
    for stem, group in groupby(names, _stem):
        own = list(group)
        if stem is None or len(own) < 3:
            parts += own
        else:
            parts.append(f"{stem}.L{_ranges([int(name.rpartition('.L')[2]) for name in own])}")
    return "+".join(parts)


def _stem(name: str) -> str | None:
    """Return a view's name without its layer; none where it names no layer as a number."""
    stem, mark, layer = name.rpartition(".L")
    return stem if mark and layer.isdecimal() and str(int(layer)) == layer else None


def _ranges(layers: Sequence[int]) -> str:
    """Write layers as ``--view`` does, neighbours in ascending order as a range: ``0-2,5``."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][-1] + 1:
            parts[-1].append(layer)
        else:
            parts.append([layer])
    written = []
    for part in parts:
        if len(part) > 2:
            written.append(f"{part[0]}-{part[-1]}")
        else:
            written += map(str, part)
    return ",".join(written)


def every_layer(
    entries: Sequence[Entry], modalities: Sequence[str], encoders: Mapping[str, str], layers: str
) -> list[ViewRequest]:
    """Return a request for each modality: these layers of it, or its only vectors.

    Args:
        entries: The catalogue.
        modalities: Which.
        encoders: Modality to ``NAME[@FINGERPRINT]``, where the store has several.
        layers: As in :class:`ViewRequest`.

    Raises:
        UsageError: ``layers`` is no list of layers, or no modality has several.
    """
    if LAYERS.fullmatch(layers) is None:
        raise UsageError(f"--layers takes all, or numbers such as 4, 4-8 or 2,5, not {layers!r}")
    requests = []
    for modality in modalities:
        encoder = encoders.get(modality, "")
        own = [e for e in entries if e.ref.modality == modality and matching(e, encoder)]
        has_layers = len({e.ref.layer for e in own if e.ref.layer >= 0}) > 1
        requests.append(ViewRequest(modality, modality, encoder, layers if has_layers else ""))
    if not any(request.layers for request in requests):
        raise UsageError(
            f"--layers {layers}: none of {', '.join(modalities)} has several layers in the store; "
            "extract them with extract-features --frozen --layer all"
        )
    return requests


def named_view_candidates(
    entries: Sequence[Entry], requests: Sequence[ViewRequest], seed: int | None = None
) -> dict[str, list[EncoderRef]]:
    """Return view to the one encoder and layer behind it, in the order of the requests.

    Args:
        entries: The catalogue.
        requests: What was asked for.
        seed: Which seed of the fine-tuning, where there are several.

    Raises:
        UsageError: Nothing matches, more than one thing does, or two views are the same.
    """
    entries = without_inner_folds(entries)
    views: dict[str, list[EncoderRef]] = {}
    for request in requests:
        for name, ref in _views_of(entries, request, seed).items():
            if name in views:
                raise UsageError(
                    f"two views are called {name!r}; give one another name with --view NAME=..."
                )
            for other, (same,) in views.items():
                if same == ref:
                    raise UsageError(
                        f"the views {other!r} and {name!r} are the same vectors, {ref.folder} "
                        f"(seed {ref.seed}); leave one out"
                    )
            views[name] = [ref]
    return views


def _views_of(
    entries: Sequence[Entry], request: ViewRequest, seed: int | None
) -> dict[str, EncoderRef]:
    """Return what one request names: name to encoder, ascending by layer."""
    known = sorted({e.ref.modality for e in entries})
    if request.modality not in known:
        unknown_name("modality", request.modality, known)
    of_modality = [e for e in entries if e.ref.modality == request.modality]
    found = {
        e.ref
        for e in of_modality
        if matching(e, request.encoder) and (seed is None or e.ref.seed == seed)
    }
    if not found:
        unknown_name(
            f"{request.modality} encoder",
            request.encoder,
            sorted({e.ref.name.removesuffix(f".L{e.ref.layer}") for e in of_modality}),
        )
    if not request.layers:
        return {request.name: _only(found, request)}
    views = {}
    for layer in _numbers(request, sorted({ref.layer for ref in found if ref.layer >= 0})):
        name = f"{request.name}.L{layer}" if request.has_several else request.name
        views[name] = _only({ref for ref in found if ref.layer == layer}, request)
    return views


def _numbers(request: ViewRequest, stored: Sequence[int]) -> list[int]:
    """Return the layers that are asked for, all of which are there.

    Raises:
        UsageError: One is not.
    """
    if request.layers == "all":
        return list(stored)
    wanted: list[int] = []
    for part in request.layers.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        absent = [number for number in (low, high) if number not in stored]
        if not absent:  # so that the range is no longer than what is stored
            absent = [number for number in range(low, high) if number not in stored]
        if absent or low > high:
            raise UsageError(
                f"the view {request.name!r} asks for layer {absent[0] if absent else part} of "
                f"{request.modality}; the store has {', '.join(map(str, stored)) or 'no layers'}"
            )
        wanted += [number for number in stored if low <= number <= high]
    return list(dict.fromkeys(wanted))


def _only(found: set[EncoderRef], request: ViewRequest) -> EncoderRef:
    """Return the one that is found.

    Raises:
        UsageError: Several would do.
    """
    if len(found) == 1:
        return next(iter(found))
    several = sorted(found, key=lambda ref: (ref.folder, ref.seed))
    ways = [f"{written_view(ref)} (seed {ref.seed})" for ref in several]
    raise UsageError(
        f"the view {request.name!r} could be any of {', '.join(dict.fromkeys(ways))}; name one"
    )
