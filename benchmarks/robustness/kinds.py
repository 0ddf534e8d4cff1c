"""The kinds of file that commands read: which world holds one, and who reads it how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.robustness.trial import Way
from benchmarks.robustness.worlds import GRID

# Why a file that says something else is accepted with another result.
NO_DIGEST = "another valid file: nothing beside it says what it held, and the result follows it"
EDITED = "a table that people edit: other cells are other data, and the result follows them"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        name: As the table of results calls it.
        world: One of ``WORLDS``.
        pattern: Which of its files are altered.
        ways: The commands that read it.
        explained: Why an altered one may be accepted with another result; empty where it may not.
    """

    name: str
    world: str
    pattern: str
    ways: tuple[Way, ...]
    explained: str = ""

    @property
    def folder(self) -> str:
        """Its name as that of a folder: ``store-fold.h5`` for ``store, fold.h5``."""
        return self.name.replace(", ", "-").replace(" ", "-")


def _manifest(name: str) -> tuple[Way, ...]:
    table = f"{{here}}/{name}"
    given = ("--corpus", "manifest", "--root", table)
    return (
        Way("check-corpus", (*given, "--quiet", "--json"), reports=True),
        Way("embeddings-store", ("check", table, "--json"), reports=True),
        Way("convert-corpus", (*given, "--to", "manifest", "--out", "{here}/out"), ("out/*.csv",)),
    )


def _import(source: str, *more: str) -> tuple[Way, ...]:
    seen = ("--seen", "none", "--rows", "{here}/rows.csv", "--corpus", "mine")
    given = ("import", f"{{here}}/{source}", *seen, *more, "--store", "{here}/store")
    return (Way("embeddings-store", given, ("store/**/*.h5", "store/*/manifest.parquet")),)


STORE = ("--store", "{here}/store")
VERIFY = Way("embeddings-store", ("verify", "{here}/store"), reports=True)
INSPECT = Way(
    "embeddings-store",
    ("inspect", *STORE),
    reports=True,
    explained="shows what a file says of itself; verify compares it with its digests",
)
UNVERIFIED = "a valid store file with other content: verify names it, readers recompute no digest"
AUDIT = Way("audit-leakage", (*STORE, "--json"), explained=UNVERIFIED)
GRID_AGAIN = Way(
    "run-fusion-grid",
    (*STORE, "--out", "{here}/results", *GRID),
    ("results/grid.csv", "results/predictions.parquet"),
    said=False,
    explained=UNVERIFIED,
)
OF_STORE = (VERIFY, VERIFY, INSPECT, AUDIT, GRID_AGAIN)
OF_RESULTS = (
    Way("compare-systems", ("{here}/results",), ("results/comparisons.csv",)),
    Way("compare-results", ("{here}/results", "{here}/results")),
    Way(
        "show-benchmarks",
        ("--corpus", "iemocap", "--compare", "{here}/results", "--format", "json"),
    ),
    Way("make-report", ("{here}/results", *STORE, "--quiet"), ("results/figures/*.svg",)),
    GRID_AGAIN,
)

KINDS: Sequence[Kind] = (
    Kind("manifest.csv", "manifest", "rows.csv", _manifest("rows.csv"), EDITED),
    Kind("manifest.parquet", "manifest", "rows.parquet", _manifest("rows.parquet"), NO_DIGEST),
    Kind("vectors.npy", "vectors", "vectors.npy",
         _import("vectors.npy", "--ids", "{here}/ids.txt", "--modality", "text"), NO_DIGEST),
    Kind("vectors.npz", "vectors", "vectors.npz", _import("vectors.npz"), NO_DIGEST),
    Kind("store, fold.h5", "store", "store/example/*/seed-0/fold-any.h5", OF_STORE),
    Kind("store, corpus.json", "store", "store/example/corpus.json", OF_STORE),
    Kind("store, manifest.parquet", "store", "store/example/manifest.parquet", OF_STORE),
    Kind("results, grid.csv", "results", "results/grid.csv", OF_RESULTS),
    Kind("results, a cell", "results", "results/cells/*.npz", (GRID_AGAIN,)),
    Kind("results, predictions.parquet", "results", "results/predictions.parquet", OF_RESULTS),
)  # fmt: skip
