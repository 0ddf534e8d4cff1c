"""From what a user asks to be judged to the case that every check is given.

A store and a plan are judged, or finished results; and the run on permuted labels starts here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from classify.claim import UPPER_BOUND, Claim
from classify.grid.config import GridConfig
from classify.leakage.case import AuditCase, named_views, read_files
from classify.leakage.checks import FILE, Audit
from classify.leakage.finding import NOT_CHECKED, LeakageFinding
from classify.leakage.shuffled import judge
from classify.metadata import METADATA
from classify.results.table import read_results
from embeddings_store.corpus.label_sets import named_labels
from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, LeakError, StoreMismatchError, UsageError
from embeddings_store.folds.plan import FoldPlan
from embeddings_store.folds.setup import Request, set_up
from embeddings_store.vectors.arrays import EncoderRef
from embeddings_store.vectors.catalogue import Entry, catalogue, only_corpus
from embeddings_store.vectors.view_names import written_view


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What is to be judged.

    Attributes:
        store: The store's folder.
        corpus: Which corpus; empty takes that of the results, else the only one.
        request: Protocol, folds, validation rule and label set; empty takes those of the results,
            else the corpus' own.
        encoders: ``MODALITY=NAME[@FINGERPRINT]``; empty takes those of the results, else all in the
            store.
        media: The folder that the corpus' media paths are relative to, or none.
        results: A folder of results, or none.
        follow_links: Whether media may be behind symbolic links that leave their folder.
    """

    store: Path
    corpus: str = ""
    request: Request = field(default_factory=Request)
    encoders: Sequence[str] = ()
    media: Path | None = None
    results: Path | None = None
    follow_links: bool = False


def gather(asked: AuditRequest) -> tuple[AuditCase, Sequence[str]]:
    """Return the case, and the checks whose leak the results took knowingly.

    Raises:
        UsageError: A name does not exist, or options contradict each other.
        StoreError, FoldError, LabelError: The store, the results or the plan are not as they must
        be.
    """
    if asked.results is not None:
        return _of_results(asked, asked.results)
    corpus = asked.corpus or only_corpus(asked.store)
    entries = catalogue(asked.store, corpus)
    manifest = Manifest.load(asked.store / corpus)
    plan, labels = plan_of(manifest, asked.request)
    return _case(asked, entries, manifest, plan, labels, asked.encoders), ()


def plan_of(manifest: Manifest, request: Request) -> tuple[FoldPlan, LabelSet | None]:
    """Make or read a fold plan, with the label set that counts; one that tears groups is judged.

    Raises:
        UsageError, FoldError, LabelError, StoreError: There is no such plan, or it was made for
        other rows.
    """
    try:
        setup = set_up(manifest, request)
    except FoldError as error:
        if "tears" not in str(error):
            raise
        setup = set_up(replace(manifest, table=manifest.table.assign(group="")), request)
    return setup.plan, setup.labels


def with_shuffled(
    audit: Audit, case: AuditCase, store: Path, seed: int, notify: Callable[[str], None]
) -> Audit:
    """Run an SVM on everything with permuted labels, and add what that shows.

    Args:
        audit: What the other checks found.
        case: What is judged.
        store: The store's folder.
        seed: Of the permutation.
        notify: Gets one line at a time about what happens.
    """
    with tempfile.TemporaryDirectory(prefix="audit-leakage-") as folder:
        plan = Path(folder) / "plan.parquet"
        case.plan.save(plan)
        own = case.labels is None or case.labels == case.manifest.labels
        config = GridConfig(
            store,
            Path(folder) / "results",
            case.manifest.name,
            folds=str(plan),
            classifiers=("svm",),
            **_asked_views(case),
            metadata=tuple(case.metadata),
            label_set="" if own or case.labels is None else case.labels.name,
            shuffle_seed=seed,
            accept=tuple(audit.accepted),
        )
        # not above: a look at a store needs nothing that fits or writes
        from classify.experiment import run_grid

        try:
            run_grid(config, notify)
            found = judge(config.out)
        except (FoldError, LeakError, StoreMismatchError, UsageError) as error:
            found = LeakageFinding(
                NOT_CHECKED, f"the grid would not run on permuted labels: {error}"
            )
    return replace(audit, findings={**audit.findings, "shuffled": found})


def _asked_views(case: AuditCase) -> dict[str, Any]:
    """Return the options of a grid over the views of a case, of which a modality may have several.

    Of several seeds of a fine-tuning the last one stands for all.
    """
    refs = list(dict.fromkeys(file.ref for file in case.files))
    seeds = {ref.seed for ref in refs}
    if len(refs) > len({ref.modality for ref in refs}) and len(seeds) == 1:
        return {"views": tuple(written_view(ref) for ref in refs)}
    return {"encoders": {ref.modality: ref.folder for ref in refs}}


def _of_results(asked: AuditRequest, folder: Path) -> tuple[AuditCase, Sequence[str]]:
    if asked.request != Request():
        raise UsageError(
            "--results brings its own plan, protocol and label set; leave out --folds, --valid, "
            "--protocol, --protocol-files and --label-set"
        )
    rows = read_results(folder).rows
    first, claim = rows.iloc[0], Claim.of_rows(rows)
    corpus = asked.corpus or str(first["corpus"])
    entries = catalogue(asked.store, corpus)
    encoders = asked.encoders or _encoders_of(rows, entries)
    manifest = Manifest.load(asked.store / corpus)
    own = manifest.labels is not None and manifest.labels.name == first["label_set"]
    labels = manifest.labels if own else named_labels(str(first["label_set"]), manifest).labels
    before = Audit.read(folder) if (folder / FILE).is_file() else Audit({}, {})
    seed = str(first["labels_shuffled"]).removeprefix("seed ")
    case = _case(asked, entries, manifest, FoldPlan.load(folder / "plan.parquet"), labels, encoders)
    metadata = before.metadata or _metadata_of(rows)
    for column in metadata:
        if column not in manifest.table:
            raise StoreMismatchError(
                f"{folder}: results name the metadata column {column!r}, which corpus {corpus!r} "
                f"in {asked.store} does not have; give the store that they were made from"
            )
    return replace(
        case,
        metadata=metadata,
        shuffled=int(seed) if seed.isdecimal() else None,
        select_on="test" if UPPER_BOUND in claim.reasons else "",
    ), tuple(dict.fromkeys((*before.accepted, *claim.accepted)))


def _encoders_of(rows: pd.DataFrame, entries: Sequence[Entry]) -> list[str]:
    """Return the encoders that results name, ``modality=name@fingerprint``, without metadata.

    Results call them by their views, of which a modality may have several.
    """
    modality_of = {entry.ref.folder: entry.ref.modality for entry in entries}
    named: set[str] = set()
    for pairs in rows["encoders"]:
        for pair in filter(None, pairs.split(",")):
            view, _, folder = pair.partition("=")
            named.add(f"{modality_of.get(folder, view)}={folder}")
    return sorted(pair for pair in named if not pair.startswith(f"{METADATA}={METADATA}@"))


def _metadata_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the metadata columns that results name."""
    named: dict[str, None] = {}
    for columns in rows["metadata"]:
        named |= dict.fromkeys(column for column in columns.split("+") if column)
    return tuple(named)


def _holds_media(folder: Path, manifest: Manifest) -> bool:
    """Whether any media file that the corpus names lies in a folder."""
    for column in ("audio", "video"):
        for path in manifest.column(column).tolist():
            if path and (folder / path).is_file():
                return True
    return False


def _case(
    asked: AuditRequest,
    entries: Sequence[Entry],
    manifest: Manifest,
    plan: FoldPlan,
    labels: LabelSet | None,
    encoders: Sequence[str],
) -> AuditCase:
    if asked.media and not _holds_media(asked.media, manifest):
        raise UsageError(
            f"--media {asked.media}: holds no file that corpus {manifest.name!r} names; give the "
            "folder that its media paths are relative to"
        )
    files = read_files(asked.store, manifest, _views(entries, encoders), plan)
    return AuditCase(
        manifest, plan, files, labels, media=asked.media, follow_links=asked.follow_links
    )


def _views(entries: Sequence[Entry], wanted: Sequence[str]) -> dict[str, EncoderRef]:
    """Return view name to encoder: all that the store has, or those that are asked for."""
    refs = list(dict.fromkeys(e.ref for e in entries if ".inner-" not in e.fold))
    chosen = [] if wanted else refs
    for pair in wanted:
        name, _, prefix = pair.partition("@")
        found = [
            r for r in refs if f"{r.modality}={r.name}" == name and r.fingerprint.startswith(prefix)
        ]
        if not found:
            known = ", ".join(f"{r.modality}={r.folder}" for r in refs)
            raise UsageError(f"--encoder {pair}: there are no such vectors; the store has {known}")
        chosen += [ref for ref in found if ref not in chosen]
    return named_views(chosen)
