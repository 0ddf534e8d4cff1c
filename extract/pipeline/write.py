"""From an encoder to finished store files.

Encode what is not there yet, in parts that survive a kill, and assemble.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import exclusive, remove_leftovers
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import StoreMismatchError
from embeddings_store.provenance import changed_settings, collect, fingerprint
from embeddings_store.vectors.arrays import Embeddings, EncoderRef
from embeddings_store.vectors.hdf5 import read_embeddings, read_header, store_path, write_embeddings
from embeddings_store.vectors.shards import ShardFolder
from extract.pipeline.encode import Rows, encode_rows
from extract.pipeline.inputs import Reader

Say = Callable[[str], None]
Advance = Callable[[int], None]


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
    """Say how this configuration differs from others of the same encoder in the store, one sentence each."""
    found = []
    for ref, settings in zip(dump.refs, dump.settings, strict=True):
        for folder in sorted((dump.store / dump.manifest.name).glob(f"{ref.name}@*")):
            for path in sorted(folder.glob("seed-*/fold-*.h5"))[:1]:
                header = read_header(path)
                other = header["settings"]
                if (
                    header["fingerprint"] != ref.fingerprint
                    and header["modality"] == ref.modality
                    and isinstance(other, dict)
                ):
                    kinds = [
                        "fine-tuned" if "train_epochs" in s else "frozen" for s in (other, settings)
                    ]
                    changes = (
                        changed_settings(other, settings)
                        if kinds[0] == kinds[1]
                        else [" -> ".join(kinds)]
                    )
                    found.append(
                        f"{folder.name} is there with other settings ({'; '.join(changes)}); "
                        "these vectors go beside "
                        f"it as {ref.folder}"
                    )
    return found


def finished(dump: Dump) -> bool:
    """Say whether there is nothing to do."""
    return not dump.unwritten() and not _wants_retry(dump)


def write(
    dump: Dump,
    encoder: Any,
    read: Reader,
    say: Say,
    advance: Advance,
    scores: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> Summary:
    """Make what is not there yet; the caller holds the lock, see :func:`locked`.

    Args:
        dump: What goes where.
        encoder: Anything with ``layers``, ``dim``, ``batch_size`` and ``encode``.
        read: Reads one row.
        say: Called with each sentence that a user should read.
        advance: Called with the number of rows that were just finished.
        scores: Makes class scores (n, C) of vectors (n, D); none for encoders without a head.

    Raises:
        StoreFullError: The disk is full; finished rows are safe.
    """
    started = time.monotonic()
    shards, kept = dump.shards(), _rows_to_keep(dump)
    _drop_rows_of_other_weights(dump, say)
    for sentence in shards.start(
        {
            "settings": [dict(s) for s in dump.settings],
            "inputs_digest": dump.inputs_digest,
            "weights_digest": dump.attributes.get("weights_digest", ""),
        }
    ):
        say(sentence)
    if kept is not None and not len(shards.finished()):
        shards.commit(*kept)
    begun = time.monotonic()
    resumed = _encode_rest(dump, encoder, read, shards, say, advance)
    encoding = {
        "rows": int(dump.present.sum()) - resumed,
        "wall_s": round(time.monotonic() - begun, 3),
    }
    dump = replace(dump, provenance={**dump.provenance, "encoding": encoding})
    _assemble(
        dump, encoder, shards, dump.refs if kept is not None else tuple(dump.unwritten()), scores
    )
    shutil.rmtree(dump.running)
    return summarise(dump, resumed, int(dump.present.sum()) - resumed, time.monotonic() - started)


def locked(dump: Dump) -> Any:
    """Enter the corpus into the store and hold the lock of these files.

    Raises:
        StoreBusyError: Another process makes the same vectors.
        StoreMismatchError: The store holds another corpus of this name.
    """
    dump.manifest.enter(dump.store)
    return exclusive(dump.lock, str(dump.running))


def summarise(dump: Dump, resumed: int = 0, encoded: int = 0, wall_s: float = 0.0) -> Summary:
    """Read the finished files and say what is in them.

    Raises:
        StoreMismatchError: A file was made from other inputs.
    """
    files = tuple(dump.path(ref) for ref in dump.refs)
    for path in files:
        told = read_header(path)
        if told["inputs_digest"] != dump.inputs_digest:
            raise StoreMismatchError(
                f"{path}: was made from other inputs ({told['inputs_digest']}) than the corpus "
                "now has "
                f"({dump.inputs_digest}); run again with --overwrite"
            )
    first = read_embeddings(files[0])
    listed = list(
        zip(first.ids.tolist(), first.status.tolist(), first.reason.tolist(), strict=True)
    )
    return Summary(
        files,
        len(first.ids),
        int(first.ok.sum()),
        int((first.status == "missing").sum()),
        tuple((i, r) for i, s, r in listed if s == "failed"),
        tuple((i, r) for i, s, r in listed if s == "ok" and r),
        resumed,
        encoded,
        wall_s,
    )


def _drop_rows_of_other_weights(dump: Dump, say: Say) -> None:
    """Forget finished rows that were made with other weights.

    A training that is repeated on a GPU ends with other bits.
    """
    folder = dump.shards().path
    if not folder.is_dir():
        return
    try:
        told = json.loads((folder / "about.json").read_text(encoding="utf-8")).get("weights_digest")
    except (OSError, ValueError):
        told = None
    if told != dump.attributes.get("weights_digest", "") and any(folder.glob("part-*")):
        say("rows that were finished before are of other weights; they are made again")
        shutil.rmtree(folder)


def _wants_retry(dump: Dump) -> bool:
    return dump.retry_failed and bool(
        (read_embeddings(dump.path(dump.refs[0])).status == "failed").any()
    )


def _rows_to_keep(dump: Dump) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]] | None:
    """Return the rows of finished files that stay while failed ones are tried again.

    None if there is nothing to retry.
    """
    if dump.unwritten() or not _wants_retry(dump):
        return None
    files = [read_embeddings(dump.path(ref)) for ref in dump.refs]
    keep = np.flatnonzero(files[0].status == "ok")
    columns = {
        "vectors": np.stack([f.vectors[keep] for f in files], axis=1),
        "status": files[0].status[keep],
        "reason": files[0].reason[keep],
        "inputs": np.asarray(files[0].inputs)[keep],
    }
    return keep.astype(np.int64), columns


def _encode_rest(
    dump: Dump, encoder: Any, read: Reader, shards: ShardFolder, say: Say, advance: Advance
) -> int:
    """Encode the rows that no part holds yet; return how many there were before."""
    done = np.intersect1d(shards.finished(), np.flatnonzero(dump.present))
    rest = np.setdiff1d(np.flatnonzero(dump.present), done)
    if len(done):
        say(f"goes on: {len(done)} of {int(dump.present.sum())} rows were finished before")
        advance(len(done))

    def commit(rows: Rows) -> None:
        shards.commit(np.array(rows.positions, dtype=np.int64), rows.columns())

    encode_rows(encoder, read, [(int(i), dump.manifest.row(int(i))) for i in rest], commit, advance)
    return len(done)


def _assemble(
    dump: Dump,
    encoder: Any,
    shards: ShardFolder,
    wanted: tuple[EncoderRef, ...],
    scores: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None,
) -> None:
    manifest, absent = dump.manifest, np.flatnonzero(~dump.present)
    if len(absent) and not np.isin(absent, shards.finished()).all():
        empty = np.full((len(absent), len(encoder.layers), encoder.dim), np.nan, dtype=np.float32)
        reason = f"the manifest gives no {dump.modality}"
        shards.commit(
            absent,
            {
                "vectors": empty,
                "status": np.full(len(absent), "missing"),
                "reason": np.full(len(absent), reason),
                "inputs": np.full(len(absent), ""),
            },
        )
    columns = shards.assemble(len(manifest))
    provenance = {**collect(), **dump.provenance}
    for number, (ref, settings) in enumerate(zip(dump.refs, dump.settings, strict=True)):
        if ref not in wanted:
            continue
        path = dump.path(ref)
        vectors = np.ascontiguousarray(columns["vectors"][:, number], dtype=np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        write_embeddings(
            path,
            Embeddings(
                manifest.ids,
                vectors,
                dump.seen,
                columns["status"].astype(str),
                columns["reason"].astype(str),
                ref,
                dump.fold,
                scores(vectors) if scores else None,
                dump.classes,
                columns["inputs"].astype(str),
            ),
            {
                "corpus": manifest.name,
                "inputs_digest": dump.inputs_digest,
                **dump.attributes,
                "settings": dict(settings),
                "provenance": provenance,
            },
        )
