"""The command ``audit-leakage``: is anything of the test rows known beforehand, and does the corpus or the set-up do it?"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.commandline import guarded, parser

if TYPE_CHECKING:
    from classify.audits import Audit, Case
    from embeddings_store.arrays import EncoderRef
    from embeddings_store.entries import Entry
    from embeddings_store.folds import FoldPlan
    from embeddings_store.manifest import Manifest

PROGRAM = "audit-leakage"
DESCRIPTION = """\
Look for what makes an accuracy too good: people, dialogues, recordings, transcripts and inputs on both sides, encoders that
know the answers, choices made on test rows. Each check says leak (the set-up is wrong), caution (it belongs to the corpus, and
must be told), clean, or not checked. run-fusion-grid runs the cheap checks by itself and refuses leaks. A leak ends with exit
status 3."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return guarded(lambda: _run(build_parser().parse_args(argv)), PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = parser(PROGRAM, DESCRIPTION, [
        f"{PROGRAM} --store embeddings --corpus meld",
        f"{PROGRAM} --corpus mosi --folds group-kfold:5 --json",
        f"{PROGRAM} --corpus ravdess --media RAVDESS --shuffled",
        f"{PROGRAM} --results results"])
    top.add_argument("--store", type=Path, default=Path("embeddings"), help="the store (default: %(default)s)")
    top.add_argument("--corpus", default="", help="corpus in the store (default: that of the results, else the only one)")
    top.add_argument("--folds", default="", metavar="PLAN",
                     help="a plan's name or a plan file (default: that of the results, else the corpus' own); one that tears "
                     "groups is judged, not refused")
    top.add_argument("--valid", default="", metavar="RULE", help="the rule for validation rows, as for run-fusion-grid")
    top.add_argument("--encoder", action="append", default=[], metavar="MODALITY=NAME[@FINGERPRINT]",
                     help="judge this encoder only (default: those of the results, else all in the store); repeatable")
    top.add_argument("--media", type=Path, metavar="ROOT",
                     help="the folder of the corpus' files: also compare those byte by byte")
    top.add_argument("--results", type=Path, metavar="DIR",
                     help="judge what made these results, and write the verdict beside them as audit.json")
    top.add_argument("--shuffled", nargs="?", type=int, const=0, metavar="SEED",
                     help="also run an SVM on everything with permuted labels, which must fall to chance (SEED: 0)")
    top.add_argument("--json", action="store_true", help="print JSON instead of text")
    return top


def _run(arguments: argparse.Namespace) -> int:
    # imported here because it takes a second or two, in which Ctrl-C must not print a traceback either
    from classify.audits import run_checks
    from classify.audits.finding import LEAK
    from classify.audits.show import show_audit
    from classify.show import console_for_output

    case, accepted = _case(arguments)
    audit = run_checks(case, accepted)
    if arguments.shuffled is not None:
        audit = _with_shuffled(audit, case, arguments)
    if arguments.results:
        audit = audit.keeping(arguments.results)
        audit.write(arguments.results)
    if arguments.json:
        print(json.dumps(audit.to_dict(), indent=2, ensure_ascii=False))
    else:
        show_audit(audit, console_for_output())
    return 3 if audit.verdict == LEAK else 0


def _case(arguments: argparse.Namespace) -> tuple[Case, Sequence[str]]:
    """Gather what is judged, and which leaks the results took knowingly."""
    from classify.audits import Audit, Case
    from classify.audits.case import read_files
    from classify.metadata import METADATA
    from classify.prepare import UPPER_BOUND, only_corpus
    from classify.results import ResultTable
    from embeddings_store.entries import catalogue
    from embeddings_store.errors import UsageError
    from embeddings_store.folds import FoldPlan
    from embeddings_store.manifest import Manifest

    facts: dict[str, str] = {}
    wanted, plan = list(arguments.encoder), None
    accepted: Sequence[str] = ()
    metadata: Sequence[str] = ()
    if arguments.results:
        given = next((f"--{name}" for name in ("folds", "valid") if getattr(arguments, name)), "")
        if given:
            raise UsageError(f"{given} contradicts --results, whose plan is the one that made them; leave one of them out")
        rows = ResultTable.read(arguments.results / "grid.csv").rows
        facts = {name: str(rows[name].iloc[0]) for name in ("corpus", "labels_shuffled")}
        facts["claim"] = str(rows["claim"].iloc[0]) if "claim" in rows else ""
        wanted = wanted or sorted({pair for pairs in rows["encoders"] if pairs for pair in pairs.split(",")
                                   if not pair.startswith(f"{METADATA}={METADATA}@")})
        plan = FoldPlan.load(arguments.results / "plan.parquet")
        if (arguments.results / "audit.json").is_file():
            before = Audit.read(arguments.results)
            accepted, metadata = before.accepted, before.metadata
    corpus = arguments.corpus or facts.get("corpus", "") or only_corpus(arguments.store)
    entries = catalogue(arguments.store, corpus)
    manifest = Manifest.load(arguments.store / corpus)
    plan = plan or plan_of(manifest, arguments.folds, arguments.valid)
    shuffled = facts.get("labels_shuffled", "no").removeprefix("seed ")
    case = Case(manifest, plan, read_files(arguments.store, manifest, _views(entries, wanted), plan), metadata=metadata,
                media=arguments.media, select_on="test" if UPPER_BOUND in facts.get("claim", "") else "",
                shuffled=int(shuffled) if shuffled.isdecimal() else None)
    return case, accepted


def plan_of(manifest: Manifest, name: str, valid: str = "") -> FoldPlan:
    """Make or read a fold plan without refusing one that tears groups apart, so that it can be judged.

    Raises:
        UsageError, FoldError, StoreError: There is no such plan, or it was made for other rows.
    """
    from embeddings_store.errors import FoldError
    from embeddings_store.folds import FoldPlan, make_plan

    if name.endswith(".parquet"):
        plan = FoldPlan.load(Path(name))
        if plan.ids.tolist() != manifest.ids.tolist():
            raise FoldError(f"{name}: was made for {len(plan.ids)} other rows than the {len(manifest)} of corpus "
                            f"{manifest.name!r}; make it again for this manifest")
        return plan
    try:
        return make_plan(manifest, name, **({"valid": valid} if valid else {}))
    except FoldError as error:
        if "tears" not in str(error):
            raise
        ungrouped = replace(manifest, table=manifest.table.assign(group=""))
        return make_plan(ungrouped, name, **({"valid": valid} if valid else {}))


def _views(entries: Sequence[Entry], wanted: Sequence[str]) -> dict[str, EncoderRef]:
    """Return view name to encoder: all that the store has, or those that are asked for."""
    from classify.audits.case import named_views
    from embeddings_store.errors import UsageError

    refs = list(dict.fromkeys(e.ref for e in entries if ".inner-" not in e.fold))
    chosen = [] if wanted else refs
    for pair in wanted:
        name, _, prefix = pair.partition("@")
        found = [r for r in refs if f"{r.modality}={r.name}" == name and r.fingerprint.startswith(prefix)]
        if not found:
            known = ", ".join(f"{r.modality}={r.folder}" for r in refs)
            raise UsageError(f"--encoder {pair}: there are no such vectors; the store has {known}")
        chosen += [ref for ref in found if ref not in chosen]
    return named_views(chosen)


def _with_shuffled(audit: Audit, case: Case, arguments: argparse.Namespace) -> Audit:
    """Run the grid on permuted labels and add what it shows."""
    from classify.audits.finding import NOT_CHECKED, Finding
    from classify.audits.shuffled import judge
    from classify.grid import run_grid
    from classify.prepare import GridConfig
    from embeddings_store.errors import FoldError, LeakError, StoreMismatchError, UsageError

    with tempfile.TemporaryDirectory(prefix=f"{PROGRAM}-") as folder:
        plan = Path(folder) / "plan.parquet"
        case.plan.save(plan)
        config = GridConfig(arguments.store, Path(folder) / "results", case.manifest.name, folds=str(plan),
                            encoders={f.ref.modality: f.ref.folder for f in case.files}, classifiers=("svm",),
                            metadata=tuple(case.metadata), shuffle_seed=arguments.shuffled, accept=tuple(audit.accepted))
        try:
            run_grid(config, lambda message: print(f"{PROGRAM}: {message}", file=sys.stderr))
            found = judge(config.out)
        except (FoldError, LeakError, StoreMismatchError, UsageError) as error:
            found = Finding(NOT_CHECKED, f"the grid would not run on permuted labels: {error}")
    return replace(audit, findings={**audit.findings, "shuffled": found})


if __name__ == "__main__":
    sys.exit(main())
