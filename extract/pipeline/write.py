"""From an encoder to finished store files.

Encode what is not there yet, in parts that survive a kill, and assemble.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import exclusive, remove_leftovers
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import ManifestError, StoreMismatchError
from embeddings_store.provenance import changed_settings, collect, fingerprint
from embeddings_store.reading import read_json, reading
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, store_path, write_embeddings
from embeddings_store.vectors.shards import ShardFolder
from extract.pipeline.encode import EncodedRows, VectorMaker, encode_rows
from extract.pipeline.inputs import RowReader

Notify = Callable[[str], None]
Advance = Callable[[int], None]
# Class scores (n, C) of vectors (n, D).
Scorer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a job came to.

    Attributes:
        files: The store's files, one per layer.
        rows: Rows of the manifest.
        ok: Rows with a vector.
        missing: Rows whose manifest names no input of this modality.
        failed: ``(id, reason)`` of rows that could not be read or encoded.
        cautions: ``(id, caution)`` of rows that have a vector, yet want a look.
        resumed: Rows that an earlier run had finished.
        encoded: Rows that this run encoded or found unreadable.
        wall_s: Seconds that this run took, loading apart.
    """

    files: tuple[Path, ...]
    rows: int
    ok: int
    missing: int
    failed: tuple[tuple[str, str], ...]
    cautions: tuple[tuple[str, str], ...]
    resumed: int
    encoded: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class Dump:
    """What goes into the store, and from where; nothing is written yet.

    Attributes:
        store: The store's folder.
        manifest: The corpus under its name in the store.
        modality: The manifest's column that is encoded: ``text``, ``audio``, ``video``, or a
            ``meta_*`` column of long text.
        refs: One reference per layer, in the encoder's order.
        settings: Per layer, everything that changes a vector.
        seen: What the encoder knows of each row (N,).
        fold: ``any``, ``3``, ``3.inner-2`` or ``final``.
        attributes: What the files say besides: ``seen_spec``, ``weights_digest``, ``plan_digest``
            and their like.
        provenance: What the provenance says besides the software.
        classes: Label order of the scores.
        overwrite: Make the vectors again even if they are there.
        retry_failed: Try failed rows of a finished file once more.
    """

    store: Path
    manifest: Manifest
    modality: str
    refs: tuple[EncoderRef, ...]
    settings: tuple[Mapping[str, object], ...]
    seen: NDArray[np.str_]
    fold: str = "any"
    attributes: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    overwrite: bool = False
    retry_failed: bool = False

    @property
    def present(self) -> NDArray[np.bool_]:
        """Rows that name an input of this modality (N,)."""
        return self.manifest.given(self.modality)

    @property
    def inputs_digest(self) -> str:
        """Twelve hex digits over what is encoded."""
        return self.manifest.inputs_digest_of(self.modality)

    def path(self, ref: EncoderRef) -> Path:
        """Where the vectors of one layer go."""
        return store_path(self.store, self.manifest.name, ref, self.fold)

    def unwritten(self) -> list[EncoderRef]:
        """Layers that still have no file, or all of them if the job overwrites."""
        return [ref for ref in self.refs if self.overwrite or not self.path(ref).is_file()]

    @property
    def running(self) -> Path:
        """The folder of everything that is on its way to these files."""
        key = fingerprint(
            {"layers": [r.fingerprint for r in self.refs], "inputs": self.inputs_digest}
        )
        last = self.refs[-1]
        return (
            self.store
            / self.manifest.name
            / ".running"
            / f"{last.name}@{key}.seed-{last.seed}.fold-{self.fold}"
        )

    @property
    def lock(self) -> Path:
        """Held while these files are made."""
        return self.running.with_name(f"{self.running.name}.lock")

    def shards(self) -> ShardFolder:
        """The folder of encoded rows that are on their way."""
        return ShardFolder(self.running / "rows")


def related_changes(dump: Dump) -> list[str]:
    """Say how this configuration differs from others of the same encoder in the store.

    Returns:
        One sentence for each of the others.
    """
    sentences = []
    for ref, settings in zip(dump.refs, dump.settings, strict=True):
        for folder in sorted((dump.store / dump.manifest.name).glob(f"{ref.name}@*")):
            for path in sorted(folder.glob("seed-*/fold-*.h5"))[:1]:
                header = read_header(path)
                other = header["settings"]
                is_related = (
                    header["fingerprint"] != ref.fingerprint and header["modality"] == ref.modality
                )
                if is_related and isinstance(other, dict):
                    sentences.append(
                        f"{folder.name} is there with other settings "
                        f"({'; '.join(_changes(other, settings))}); these vectors go beside it as "
                        f"{ref.folder}"
                    )
    return sentences


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Say what changed, or only how they were trained where one is frozen and one is not."""
    kinds = ["fine-tuned" if "train_epochs" in each else "frozen" for each in (before, after)]
    if kinds[0] != kinds[1]:
        return [" -> ".join(kinds)]
    return changed_settings(before, after)


def finished(dump: Dump) -> bool:
    """Say whether there is nothing to do."""
    return not dump.unwritten() and not _wants_retry(dump)


def write(
    dump: Dump,
    encoder: VectorMaker,
    read: RowReader,
    notify: Notify,
    advance: Advance,
    scores: Scorer | None = None,
) -> Summary:
    """Make what is not there yet; the caller holds the lock, see :func:`locked`.

    Args:
        dump: What goes where.
        encoder: Makes the vectors.
        read: Reads one row.
        notify: Called with each sentence that a user should read.
        advance: Called with the number of rows that were just finished.
        scores: Makes class scores (n, C) of vectors (n, D); none for encoders without a head.

    Raises:
        StoreFullError: The disk is full; finished rows are safe.
    """
    started = time.monotonic()
    shards, kept = dump.shards(), _rows_to_keep(dump)
    _forget_rows_of_other_weights(dump, notify)
    about = {
        "settings": [dict(settings) for settings in dump.settings],
        "inputs_digest": dump.inputs_digest,
        **_of_encoder(dump),
    }
    for sentence in shards.start(about):
        notify(sentence)
    if kept is not None and not len(shards.finished()):
        shards.commit(*kept)
    encoding_started = time.monotonic()
    resumed = _encode_rest(dump, encoder, read, shards, notify, advance)
    for sentence in encoder.remarks():
        notify(sentence)
    encoded = int(dump.present.sum()) - resumed
    wall_s = round(time.monotonic() - encoding_started, 3)
    encoding = {"rows": encoded, "wall_s": wall_s}
    dump = replace(dump, provenance={**dump.provenance, "encoding": encoding})
    # Where failed rows are tried again, every file is there and every one is written again.
    layers = dump.refs if kept is not None else tuple(dump.unwritten())
    _assemble(dump, encoder, shards, layers, scores, notify)
    shutil.rmtree(dump.running)
    return summarise(dump, resumed, encoded, time.monotonic() - started)


def locked(dump: Dump) -> AbstractContextManager[None]:
    """Enter the corpus into the store and hold the lock of these files.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreMismatchError: The store holds another corpus of this name.
    """
    dump.manifest.enter(dump.store)
    return exclusive(dump.lock, str(dump.running))


def summarise(dump: Dump, resumed: int = 0, encoded: int = 0, wall_s: float = 0.0) -> Summary:
    """Read the finished files and say what is in them.

    Args:
        dump: What was written.
        resumed: Rows that an earlier run had finished.
        encoded: Rows that this run encoded or found unreadable.
        wall_s: Seconds that this run took.

    Raises:
        StoreMismatchError: A file was made from other inputs, or by an encoder of the same weights
            that computes in another way.
    """
    files = tuple(dump.path(ref) for ref in dump.refs)
    for path in files:
        header = read_header(path)
        _refuse_other_configuration(path, header.get("provenance"), dump)
        digest = header["inputs_digest"]
        if digest != dump.inputs_digest:
            raise StoreMismatchError(
                f"{path}: was made from other inputs ({digest}) than the corpus now has "
                f"({dump.inputs_digest}); run again with --overwrite"
            )
    first = read_embeddings(files[0])
    failed, cautions = [], []
    rows = zip(first.ids.tolist(), first.status.tolist(), first.reason.tolist(), strict=True)
    for name, status, reason in rows:
        if status == "failed":
            failed.append((name, reason))
        elif status == "ok" and reason:
            cautions.append((name, reason))
    return Summary(
        files,
        len(first.ids),
        int(first.ok.sum()),
        int((first.status == "missing").sum()),
        tuple(failed),
        tuple(cautions),
        resumed,
        encoded,
        wall_s,
    )


def _refuse_other_configuration(path: Path, provenance: object, dump: Dump) -> None:
    """Refuse a file whose encoder had the same weights and computed in another way."""
    before = provenance.get("configuration") if isinstance(provenance, dict) else None
    now = dump.provenance.get("configuration")
    if not isinstance(before, dict) or not isinstance(now, dict) or not before or before == now:
        return
    raise StoreMismatchError(
        f"{path}: was made by an encoder of the same weights with another config.json "
        f"({'; '.join(changed_settings(before, now))}); run again with --overwrite, or give the "
        "encoder's folder another name to keep both"
    )


def _of_encoder(dump: Dump) -> dict[str, object]:
    """Return what finished rows hang on beside the settings."""
    return {
        "weights_digest": dump.attributes.get("weights_digest", ""),
        "configuration": dump.provenance.get("configuration", {}),
    }


def _forget_rows_of_other_weights(dump: Dump, notify: Notify) -> None:
    """Forget finished rows that were made with other weights, or computed from them otherwise.

    A training that is repeated on a GPU ends with other bits.
    """
    folder = dump.shards().path
    if not folder.is_dir():
        return
    wanted, before = _of_encoder(dump), None
    with suppress(ManifestError), reading(folder / "about.json", "JSON"):
        about = read_json(folder / "about.json")
        before = {name: about.get(name) for name in wanted}
    if before != wanted and any(folder.glob("part-*")):
        notify("rows that were finished before are of other weights; they are made again")
        shutil.rmtree(folder)


def _wants_retry(dump: Dump) -> bool:
    if not dump.retry_failed:
        return False
    return bool((read_embeddings(dump.path(dump.refs[0])).status == "failed").any())


def _rows_to_keep(dump: Dump) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]] | None:
    """Return the rows of finished files that stay while failed ones are tried again.

    None if there is nothing to retry.
    """
    if dump.unwritten() or not _wants_retry(dump):
        return None
    files = [read_embeddings(dump.path(ref)) for ref in dump.refs]
    keep = np.flatnonzero(files[0].status == "ok")
    columns = {
        "vectors": np.stack([file.vectors[keep] for file in files], axis=1),
        "status": files[0].status[keep],
        "reason": files[0].reason[keep],
        "inputs": np.asarray(files[0].inputs)[keep],
    }
    return keep.astype(np.int64), columns


def _encode_rest(
    dump: Dump,
    encoder: VectorMaker,
    read: RowReader,
    shards: ShardFolder,
    notify: Notify,
    advance: Advance,
) -> int:
    """Encode the rows that no part holds yet; return how many there were before."""
    present = np.flatnonzero(dump.present)
    done = np.intersect1d(shards.finished(), present)
    rest = np.setdiff1d(present, done)
    if len(done):
        notify(f"goes on: {len(done)} of {len(present)} rows were finished before")
        advance(len(done))

    def commit(rows: EncodedRows) -> None:
        shards.commit(np.array(rows.positions, dtype=np.int64), rows.columns())

    utterances = [(int(position), dump.manifest.row(int(position))) for position in rest]
    encode_rows(encoder, read, utterances, commit, advance)
    return len(done)


def _assemble(
    dump: Dump,
    encoder: VectorMaker,
    shards: ShardFolder,
    layers: tuple[EncoderRef, ...],
    scores: Scorer | None,
    notify: Notify,
) -> None:
    """Write the files of some layers from the rows that are finished."""
    absent = np.flatnonzero(~dump.present)
    if len(absent) and not np.isin(absent, shards.finished()).all():
        _commit_absent(dump, encoder, shards, absent)
    columns = shards.assemble(len(dump.manifest))
    distinct = count_distinct(columns)
    if distinct.vectors < distinct.inputs:
        notify(
            f"{distinct.inputs} different inputs have {distinct.vectors} different vectors: the "
            "encoder cannot tell the others apart; choose one that knows their language or kind"
        )
    facts = {"distinct": {"inputs": distinct.inputs, "vectors": distinct.vectors}}
    dump = replace(dump, provenance={**collect(), **facts, **dump.provenance})
    for number, (ref, settings) in enumerate(zip(dump.refs, dump.settings, strict=True)):
        if ref in layers:
            vectors = np.ascontiguousarray(columns["vectors"][:, number], dtype=np.float32)
            _write_layer(dump, ref, settings, {**columns, "vectors": vectors}, scores)


class Distinct(NamedTuple):
    """How many different inputs rows have, and how many different vectors."""

    inputs: int
    vectors: int


def count_distinct(columns: Mapping[str, NDArray[Any]]) -> Distinct:
    """Count different inputs and vectors among the rows that have both.

    Args:
        columns: Of finished rows: ``vectors`` (n, layers, D), ``status`` and ``inputs`` (n,).
    """
    rows = np.flatnonzero((columns["status"] == "ok") & (columns["inputs"] != ""))
    # Digests: the vectors of millions of rows would take as much memory once more.
    vectors = set()
    for row in rows:
        content = columns["vectors"][row, -1].tobytes()
        vectors.add(hashlib.blake2b(content, digest_size=8).digest())
    return Distinct(len(set(columns["inputs"][rows].tolist())), len(vectors))


def _commit_absent(
    dump: Dump, encoder: VectorMaker, shards: ShardFolder, absent: NDArray[np.int64]
) -> None:
    """Finish the rows (n,) that the manifest gives no input for."""
    shape = (len(absent), len(encoder.layers), encoder.dim)
    reason = f"the manifest gives no {dump.modality}"
    shards.commit(
        absent,
        {
            "vectors": np.full(shape, np.nan, dtype=np.float32),
            "status": np.full(len(absent), "missing"),
            "reason": np.full(len(absent), reason),
            "inputs": np.full(len(absent), ""),
        },
    )


def _write_layer(
    dump: Dump,
    ref: EncoderRef,
    settings: Mapping[str, object],
    columns: Mapping[str, NDArray[Any]],
    scores: Scorer | None,
) -> None:
    """Write one file; its vectors are (N, D)."""
    vectors = columns["vectors"]
    embeddings = Embeddings(
        dump.manifest.ids,
        vectors,
        dump.seen,
        columns["status"].astype(str),
        columns["reason"].astype(str),
        ref,
        dump.fold,
        scores(vectors) if scores else None,
        dump.classes,
        columns["inputs"].astype(str),
    )
    about = {
        "corpus": dump.manifest.name,
        "inputs_digest": dump.inputs_digest,
        **dump.attributes,
        "settings": dict(settings),
        "provenance": dump.provenance,
    }
    path = dump.path(ref)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    write_embeddings(path, embeddings, about)
