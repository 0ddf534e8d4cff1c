"""What a store holds.

Its corpora, its files of vectors by their headers, and which of them a name means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.errors import (
    StoreError,
    StoreNotFoundError,
    UsageError,
    did_you_mean,
    unknown_name,
)
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.hdf5 import read_header

CHOOSE_LAYER = "choose"  # every stored layer, for whoever chooses among them


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store, by its header.

    Attributes:
        path: Where it is.
        corpus: The corpus' name.
        ref: The encoder that made it.
        fold: The fold it is for, ``any`` for a frozen encoder.
        rows: Rows of the corpus.
        ok: Rows that have a vector.
        dim: Width of the vectors.
        has_scores: Whether it holds class scores, too.
        settings: What the encoder was configured with.
        digest: Twelve hex digits over its data.
        selection_rule: Which rows chose the encoder's epoch; empty where none was chosen.
    """

    path: Path
    corpus: str
    ref: EncoderRef
    fold: str
    rows: int
    ok: int
    dim: int
    has_scores: bool
    settings: Mapping[str, object]
    digest: str
    selection_rule: str = ""


def corpora(store: Path) -> list[str]:
    """Names of the corpora in a store, sorted.

    Raises:
        StoreNotFoundError: There is no store, or it is empty.
    """
    found = sorted(p.parent.name for p in store.glob("*/corpus.json"))
    if not found:
        raise StoreNotFoundError(
            f"{store}: no corpus in this store; run extract-features or embeddings-store import "
            f"with --store {store} first"
        )
    return found


def only_corpus(store: Path) -> str:
    """Return the name of a store's only corpus.

    Raises:
        UsageError: There are several; they are listed.
    """
    names = corpora(store)
    if len(names) > 1:
        raise UsageError(
            f"{store} holds {len(names)} corpora; choose one with --corpus: {', '.join(names)}"
        )
    return names[0]


def catalogue(store: Path, corpus: str, damaged: list[str] | None = None) -> list[Entry]:
    """List every finished file of a corpus, in the order of their paths.

    Args:
        store: The store's folder.
        corpus: The corpus' name.
        damaged: Where to put what is wrong with files that cannot be read; without it the first of
            them raises.

    Raises:
        UnknownNameError: The store has no such corpus.
        StoreNotFoundError: The corpus has no vectors yet.
        StoreError: A file is damaged.
    """
    if not (store / corpus / "corpus.json").is_file():
        unknown_name("corpus", corpus, corpora(store))
    entries = []
    for path in sorted((store / corpus).glob("*@*/seed-*/fold-*.h5")):
        try:
            entries.append(_entry(path))
        except StoreError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
    if not entries and not damaged:
        raise StoreNotFoundError(
            f"{store / corpus}: no vectors of corpus {corpus!r} yet; run extract-features --corpus "
            f"{corpus}"
        )
    return entries


def without_inner_folds(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out vectors of inner folds, which lie beside their fold's own and are no view.

    So are those of fold ``final`` where their modality has others: no fold can be scored with them.
    """
    outer = [entry for entry in entries if ".inner-" not in entry.fold]
    of_folds = {entry.ref.modality for entry in outer if entry.fold != "final"}
    return [e for e in outer if e.fold != "final" or e.ref.modality not in of_folds]


def choose_views(
    entries: Sequence[Entry],
    *,
    modalities: Sequence[str] = (),
    encoders: Mapping[str, str] | None = None,
    layer: str = "",
    seed: int | None = None,
) -> dict[str, list[EncoderRef]]:
    """Choose one encoder per modality, and refuse to guess where several would do.

    Args:
        entries: The catalogue.
        modalities: Which to use, in this order; empty means all, sorted.
        encoders: Modality to ``NAME`` or ``NAME@FINGERPRINT`` (a beginning of the fingerprint is
            enough).
        layer: ``""`` takes the only one, ``"last"`` or a number picks one, ``"choose"`` returns
            every stored layer, for the grid to choose from.
        seed: Which seed, where there are several.

    Returns:
        Modality to candidates, sorted by layer; more than one only for ``layer="choose"``.

    Raises:
        UsageError: Nothing matches, or more than one thing does; the message lists the choices.
    """
    entries = without_inner_folds(entries)
    known = sorted({e.ref.modality for e in entries})
    for name in [*modalities, *(encoders or {})]:
        if name not in known:
            unknown_name("modality", name, known)
    unused = sorted(set(encoders or {}) - set(modalities or known))
    if unused:
        raise UsageError(
            f"an encoder is named for {unused[0]}, which is not among the modalities "
            f"{', '.join(modalities)}; add it there, or leave the encoder out"
        )
    candidates = {}
    for modality in modalities or known:
        of_modality = [entry for entry in entries if entry.ref.modality == modality]
        wanted = (encoders or {}).get(modality, "")
        candidates[modality] = _candidates(of_modality, modality, wanted, layer, seed)
    return candidates


def entries_by_seed(
    entries: Sequence[Entry],
    seeds: Sequence[int] = (),
    *,
    modalities: Sequence[str] = (),
    encoders: Mapping[str, str] | None = None,
) -> dict[int, list[Entry]]:
    """Return the files of each seed of the fine-tuning, to choose views among.

    Frozen and imported vectors, which serve every fold, have no such seed: they stand beside each.

    Args:
        entries: The catalogue.
        seeds: Which; none means all that the store has of these encoders.
        modalities: As for :func:`choose_views`.
        encoders: Likewise.

    Returns:
        Seed to files, ascending.

    Raises:
        UsageError: No encoder was fine-tuned, or one lacks a seed that another one has.
    """
    entries = without_inner_folds(entries)
    wanted = set(modalities or {e.ref.modality for e in entries})
    tuned = [
        e
        for e in entries
        if e.fold != "any"
        and e.ref.modality in wanted
        and matching(e, (encoders or {}).get(e.ref.modality, ""))
    ]
    found = sorted(set(seeds) or {e.ref.seed for e in tuned})
    if not tuned:
        raise UsageError(
            "no encoder here was fine-tuned, so there are no seeds to choose from; leave out "
            "--encoder-seed"
        )
    by_seed: dict[int, list[Entry]] = {}
    for seed in found:
        of_seed = [e for e in entries if e.fold == "any" or e.ref.seed == seed]
        lacking = sorted(wanted - {e.ref.modality for e in of_seed})
        if lacking:
            there = sorted({e.ref.seed for e in tuned if e.ref.modality == lacking[0]})
            raise UsageError(
                f"no {lacking[0]} vectors of seed {seed}; the store has the seeds "
                f"{', '.join(map(str, there))}: extract the others, or name those that all "
                "modalities have with --encoder-seed"
            )
        by_seed[seed] = of_seed
    return by_seed


def family(entry: Entry) -> str:
    """Return the encoder's name without the mark of a layer."""
    return entry.ref.name.removesuffix(f".L{entry.ref.layer}")


def _entry(path: Path) -> Entry:
    header = read_header(path)
    ref = EncoderRef(
        str(header["encoder"]),
        str(header["fingerprint"]),
        str(header["modality"]),
        int(str(header["layer"])),
        int(str(header["seed"])),
    )
    settings = header.get("settings")
    return Entry(
        path,
        str(header.get("corpus", "")),
        ref,
        str(header["fold"]),
        int(str(header["rows"])),
        int(str(header["ok"])),
        int(str(header["dim"])),
        bool(header["has_scores"]),
        settings if isinstance(settings, dict) else {},
        str(header.get("digest", "")),
        str(header.get("selection_rule", "")),
    )


def _candidates(
    entries: list[Entry], modality: str, wanted: str, layer: str, seed: int | None
) -> list[EncoderRef]:
    name = wanted.partition("@")[0]
    found = {
        e.ref: e for e in entries if matching(e, wanted) and (seed is None or e.ref.seed == seed)
    }
    if not found:
        listed = "\n".join(dict.fromkeys(f"  {e.ref.folder} (seed {e.ref.seed})" for e in entries))
        hint = did_you_mean(name, {e.ref.name for e in entries}) or "."
        asked = f" match {wanted!r}" if wanted else ""
        if seed is not None:
            asked += f" with seed {seed}"
        raise UsageError(f"no {modality} vectors{asked}{hint} The store has:\n{listed}")
    if layer not in {"", CHOOSE_LAYER} and any(ref.layer >= 0 for ref in found):
        found = _one_layer(found, modality, layer)
    if layer == CHOOSE_LAYER and len({_without_layer(e) for e in found.values()}) == 1:
        return sorted(found, key=lambda ref: ref.layer)
    if len(found) > 1:
        raise UsageError(_ambiguous(found, modality))
    return list(found)


def matching(entry: Entry, wanted: str) -> bool:
    """Say whether a file is of ``NAME`` or ``NAME@FINGERPRINT``, of whatever layer; empty for any.

    Args:
        entry: The file.
        wanted: The name; a beginning of the fingerprint is enough.
    """
    name, _, prefix = wanted.partition("@")
    return (
        not name or name in {entry.ref.name, family(entry)}
    ) and entry.ref.fingerprint.startswith(prefix)


def _one_layer(
    found: dict[EncoderRef, Entry], modality: str, layer: str
) -> dict[EncoderRef, Entry]:
    stored = sorted({str(ref.layer) for ref in found})
    if layer == "last":
        return {ref: e for ref, e in found.items() if ref.name == family(e)}
    if layer not in stored:
        unknown_name(f"layer of {modality}", layer, [*stored, "last", CHOOSE_LAYER, "valid"])
    return {ref: e for ref, e in found.items() if str(ref.layer) == layer}


def _ambiguous(found: Mapping[EncoderRef, Entry], modality: str) -> str:
    lines = [f"several {modality} vectors would do, and this program does not guess between them:"]
    first = next(iter(found.values())).settings
    for ref, entry in found.items():
        differs = []
        for setting, value in sorted(entry.settings.items()) if first else ():
            if any(other.settings.get(setting) != value for other in found.values()):
                differs.append(f"{setting}={value}")
        lines.append(
            f"  --encoder {modality}={ref.folder}  (seed "
            f"{ref.seed}{', ' if differs else ''}{', '.join(differs)})"
        )
    if len({_without_layer(e) for e in found.values()}) == 1:
        lines.append(
            "They differ in the layer alone: --layer N takes one, --layer choose lets the "
            "grid choose."
        )
    if len({ref.seed for ref in found}) > 1:
        seeds = ", ".join(sorted({str(ref.seed) for ref in found}))
        lines.append(
            f"They differ in the seed: --encoder-seed takes one or several ({seeds}), or all."
        )
    return "\n".join(lines)


def _without_layer(entry: Entry) -> str:
    rest = {k: v for k, v in entry.settings.items() if k != "layer"}
    return f"{family(entry)} {entry.ref.seed} {sorted(rest.items(), key=str)}"
