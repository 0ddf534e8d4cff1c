"""Every command that is killed and starved of disk, with what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.robustness.kinds import (
    AUDIT,
    COMPARE,
    COMPARE_AGAIN,
    EXTRACT_ON,
    INSPECT,
    REPORT,
    SHOW,
    TRAIN_ON,
    VERIFY,
)
from benchmarks.robustness.lives import Case
from benchmarks.robustness.trial import Way
from benchmarks.robustness.worlds import GRID


@dataclass(frozen=True, slots=True)
class BitKind:
    """A kind of file of a store, every byte of which is changed once.

    Attributes:
        name: As the table of results calls it.
        world: One of the worlds.
        pattern: Names the file; the first that it fits.
        way: What looks for the change.
        explained: Why it does not find all of them.
    """

    name: str
    world: str
    pattern: str
    way: Way
    explained: str


MANIFEST = ("--corpus", "manifest", "--root", "{here}/rows.csv")
NEW_GRID = ("--store", "{here}/store", "--out", "{here}/out", *GRID)
OF_GRID = ("out/*.csv", "out/predictions.parquet", "out/plan.parquet")


def _grid(*more: str) -> Way:
    return Way("run-fusion-grid", (*NEW_GRID, *more), OF_GRID)


def _convert(form: str, media: str, *results: str) -> Case:
    given = (*MANIFEST, "--to", form, "--out", "{here}/out", "--media", media)
    way = Way("convert-corpus", given, results)
    return Case(f"convert to {form}", "plain manifest", way, once=True)


IMPORT = Way(
    "embeddings-store",
    ("import", "{here}/vectors.npz", "--seen", "none", "--rows", "{here}/rows.csv",
     "--corpus", "mine", "--store", "{here}/out"),
    ("out/**/*.h5", "out/*/manifest.parquet"),
)  # fmt: skip
EXPORTS = tuple(
    Way(
        "embeddings-store",
        ("export", "{here}/fold-any.h5", f"{{here}}/out/v.{form}"),
        (f"out/v.{form}",),
    )
    for form in ("csv", "npz", "parquet")
)
JOIN = Way(
    "embeddings-store",
    ("join", "one", "two", "--name", "both", "--store", "{here}/store"),
    ("store/both/**/*.h5", "store/both/manifest.parquet"),
)
CHECK = Way(
    "check-corpus",
    (*MANIFEST, "--jobs", "2", "--out", "{here}/out", "--json"),
    ("out/labels.svg",),
)
SCAN = Way("embeddings-store", ("check", "{here}/rows.csv", "--json"), reports=True)
MAKE = Way("make-corpus", ("cremad", "--out", "{here}/out"), ("out/**/*.*",))
AUDITED = Way(
    "audit-leakage",
    ("--store", "{here}/store", "--results", "{here}/results", "--json"),
    ("results/grid.csv",),
)

LABEL = Way(
    "predict-emotions",
    ("{here}/talks", "--model", "{here}/model", "--encoder", "text={here}/encoders/demo-bert",
     "--out", "{here}/out", "--quiet"),
    ("out/labels.csv", "out/**/timeline.csv"),
    said=False,
)  # fmt: skip

CASES: Sequence[Case] = (
    Case("frozen vectors", "encoders", EXTRACT_ON, "store"),
    Case("fine-tuning", "encoders", TRAIN_ON, "store"),
    Case("grid", "store", _grid("--jobs", "1"), "out"),
    Case("grid, two jobs", "store", _grid("--jobs", "2"), "out"),
    Case("grid, two jobs, parent killed", "store", _grid("--jobs", "2"), "out", parent_alone=True),
    Case("check, two jobs", "plain manifest", CHECK, "out"),
    _convert("manifest", "copy", "out/**/*.*"),
    _convert("audformat", "copy", "out/*.yaml", "out/**/*.wav"),
    _convert("emobox", "link", "out/**/*.jsonl"),
    _convert("huggingface", "leave", "out/**/*.arrow"),
    Case("import", "vectors", IMPORT, "out"),
    *(Case("export", "one file", way, "out") for way in EXPORTS),
    Case("join", "pair", JOIN),
    Case("make a release", "plain manifest", MAKE, once=True),
    Case("statistics", "results", COMPARE),
    Case("report", "results", REPORT),
    Case("audit of results", "results", AUDITED),
    Case("check of a table", "manifest", SCAN),
    Case("verify", "store", VERIFY),
    Case("inspect", "store", INSPECT),
    Case("audit", "store", AUDIT),
    Case("compare results", "results", COMPARE_AGAIN),
    Case("published figures", "results", SHOW),
    Case("labels of new media", "labelling", LABEL, "out"),
)


def _verify(pattern: str, *content: str) -> Way:
    return Way("embeddings-store", ("verify", "{here}/" + pattern), content, reports=True)


UNUSED = "a byte that stands for nothing: what is read is the same"
FROZEN, TRAINED = "store/example/imported-text@*/seed-0/fold-any.h5", "store/rows/*/*/fold-1.h5"
MANIFEST_TABLE = "store/example/manifest.parquet"
BIT_KINDS: Sequence[BitKind] = (
    BitKind("corpus.json", "corpus alone", "store/example/corpus.json",
            _verify("store/example", MANIFEST_TABLE), UNUSED),
    BitKind("manifest.parquet", "corpus alone", MANIFEST_TABLE,
            _verify("store/example", MANIFEST_TABLE), UNUSED),
    BitKind("fold-any.h5, imported", "store", FROZEN, _verify(FROZEN, FROZEN), UNUSED),
    BitKind("fold-1.h5, fine-tuned, with scores", "trained", TRAINED,
            _verify(TRAINED, TRAINED), UNUSED),
)  # fmt: skip
