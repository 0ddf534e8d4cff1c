"""The kinds of file that commands read: which world holds one, and who reads it how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.robustness.trial import Way
from benchmarks.robustness.worlds import GRID

# Why a file that says something else is accepted with another result.
NO_DIGEST = "another valid file: nothing beside it says what it held, and the result follows it"
MEDIA = "most bytes of a recording carry no checksum: other bytes are another recording"
ENCODER = (
    "another valid encoder: the fingerprint of what it makes is its own, or, where config.json "
    "alone is another, its provenance, and no store takes the one for the other"
)
DETECTOR = "another network: the digest of its file is in the fingerprint of what it makes"
IMPORTED = "other vectors, or the same in other bytes: the file's digest is in their fingerprint"
FIGURES = (
    "figures are compared with predictions.parquet; of names, flags and what else stands in this "
    "table alone it is another valid table, and the result follows it"
)
ANSWERS = (
    "labels are compared with grid.csv; scores, speakers and the order of rows stand in this file "
    "alone: it is another valid one, and the result follows it"
)
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
        return re.sub(r"[^\w.]+", "-", self.name)


def _corpus(reader: str, root: str, *more: str) -> tuple[Way, ...]:
    """Check a corpus without its media, and bring it into the form of a manifest."""
    given = ("--corpus", reader, "--root", f"{{here}}/{root}", *more)
    checked = Way("check-corpus", (*given, "--media", "none", "--json"), reports=True)
    made = ("out/*.csv", "out/*.parquet")
    return (
        checked,
        Way("convert-corpus", (*given, "--to", "manifest", "--out", "{here}/out"), made),
    )


def _manifest(name: str) -> tuple[Way, ...]:
    scanned = Way("embeddings-store", ("check", f"{{here}}/{name}", "--json"), reports=True)
    return (scanned, *_corpus("manifest", name))


def _release(name: str, pattern: str) -> Kind:
    ways = _corpus(name, name)
    return Kind(f"{name}, {pattern}", f"release {name}", f"{name}/{pattern}", ways, NO_DIGEST)


def _export(form: str, pattern: str, reader: str = "") -> Kind:
    ways = _corpus(reader or form, form)
    return Kind(f"{form}, {pattern}", "exports", f"{form}/{pattern}", ways, NO_DIGEST)


def _frozen(rows: str, modality: str, encoder: str, *more: str) -> Way:
    """Make vectors with an encoder as it is."""
    given = ("--corpus", "manifest", "--root", f"{{here}}/{rows}", "--modality", modality)
    chosen = ("--encoder", f"{{here}}/{encoder}", "--frozen", "--store", "{here}/store", "--quiet")
    made = ("store/**/fold-*.h5",)
    return Way("extract-features", (*given, *chosen, *more), made, said=False, reports=True)


def _media(suffix: str, modality: str, world: str) -> Kind:
    given = ("--corpus", "manifest", "--root", f"{{here}}/{suffix}.csv", "--json")
    ways = (
        Way("check-corpus", given, reports=True),
        _frozen(f"{suffix}.csv", modality, "encoder"),
    )
    return Kind(f"media, .{suffix}", world, f"*/*.{suffix}", ways, MEDIA)


def _encoder(folder: str, file: str, modality: str = "text") -> Kind:
    way = _frozen("rows.csv", modality, f"encoders/{folder}")
    return Kind(f"encoder, {file}", "encoders", f"encoders/{folder}/{file}", (way,), ENCODER)


def _import(source: str, *more: str, seen: str = "none", rows: str = "rows.csv") -> tuple[Way, ...]:
    known = ("--seen", seen, "--rows", f"{{here}}/{rows}", "--corpus", "mine")
    given = ("import", f"{{here}}/{source}", *known, *more, "--store", "{here}/store")
    return (Way("embeddings-store", given, ("store/**/*.h5", "store/*/manifest.parquet")),)


def _faces(*source: str) -> tuple[Way, ...]:
    """Read films with faces, where ``source`` says from where it is known where they are."""
    given = ("--corpus", "manifest", "--root", "{here}/walks.csv", *source)
    checked = Way(
        "check-corpus", (*given, "--media", "none", "--faces", "all", "--json"), reports=True
    )
    return checked, _frozen("walks.csv", "video", "encoder", "--region", "face", *source)


def _folds(protocol: str, folder: str) -> tuple[Way, ...]:
    """Read the folds of a protocol from its authors' files."""
    chosen = ("--protocol", protocol, "--protocol-files", f"{{here}}/{folder}")
    given = (*STORE, "--out", "{here}/grid", *chosen, "--dry-run")
    return (Way("run-fusion-grid", given),)


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
MODEL = Way("inspect-model", ("{here}/model",))
GRID_AGAIN = Way(
    "run-fusion-grid",
    (*STORE, "--out", "{here}/results", *GRID),
    ("results/grid.csv", "results/predictions.parquet"),
    said=False,
    explained=UNVERIFIED,
)
OF_STORE = (VERIFY, INSPECT, AUDIT, GRID_AGAIN)
COMPARE = Way("compare-systems", ("{here}/results",), ("results/comparisons.csv",))
COMPARE_AGAIN = Way("compare-results", ("{here}/results", "{here}/results"))
SHOW = Way(
    "show-benchmarks",
    ("--corpus", "iemocap", "--compare", "{here}/results", "--format", "json"),
)
REPORT = Way("make-report", ("{here}/results", *STORE, "--quiet"), ("results/figures/*.svg",))
JUDGE = Way("audit-leakage", (*STORE, "--results", "{here}/results", "--json"))
OF_RESULTS = (COMPARE, COMPARE_AGAIN, SHOW, JUDGE, GRID_AGAIN)
BEGUN = ("--corpus", "manifest", "--root", "{here}/rows.csv", "--modality", "text")
TRAINED = ("--encoder", "{here}/encoders/demo-bert", *STORE, "--folds", "session-kfold:2")
SHORT = ("--rule", "fixed-epochs", "--batch-size", "2", "--epochs", "3", "--quiet", "--fold", "1")
TRAIN_ON = Way(
    "extract-features",
    (*BEGUN, *TRAINED, *SHORT),
    ("store/**/fold-*.h5", "store/**/*.history.csv"),
    said=False,
    reports=True,
)
EXTRACT_ON = _frozen("rows.csv", "text", "encoders/demo-bert", "--batch-size", "1")
ON_PLAN = (
    Way("audit-leakage", (*STORE, "--folds", "{here}/plan.parquet", "--json"), explained=NO_DIGEST),
    Way("run-fusion-grid", (*STORE, "--out", "{here}/out", "--folds", "{here}/plan.parquet",
        *GRID), ("out/grid.csv",), said=False, explained=NO_DIGEST),
)  # fmt: skip
SYSTEMS = Way(
    "run-fusion-grid",
    (*STORE, "--out", "{here}/out", "--systems", "{here}/systems.txt", "--dry-run"),
)
CACHE = _frozen(
    "walks.csv",
    "video",
    "encoder",
    *("--region", "face", "--frame-cache", "{here}/cache", "--face-weights", "{here}/faces.onnx"),
)
CHECK_AGAIN = Way(
    "check-corpus",
    ("--corpus", "manifest", "--root", "{here}/rows.csv", "--out", "{here}/out", "--json"),
    reports=True,
)
NPY = ("--ids", "{here}/ids.txt", "--modality", "text")
IDS_NPY = ("--ids", "{here}/ids.npy", "--modality", "text")

KINDS: Sequence[Kind] = (
    Kind("manifest.csv", "manifest", "rows.csv", _manifest("rows.csv"), EDITED),
    Kind("manifest.tsv", "manifest", "rows.tsv", _corpus("manifest", "rows.tsv"), EDITED),
    Kind("manifest, UTF-16", "manifest", "utf16.csv", _corpus("manifest", "utf16.csv"), EDITED),
    Kind("manifest.parquet", "manifest", "rows.parquet", _manifest("rows.parquet"), NO_DIGEST),
    Kind("manifest.arff", "manifest", "rows.arff", _corpus("manifest", "rows.arff"), EDITED),
    Kind("vectors.npy", "vectors", "vectors.npy", _import("vectors.npy", *NPY), IMPORTED),
    Kind("vectors.npz", "vectors", "vectors.npz", _import("vectors.npz"), IMPORTED),
    Kind("vectors.csv", "vectors", "vectors.csv",
         _import("vectors.csv", "--modality", "text"), IMPORTED),
    Kind("vectors.parquet", "vectors", "vectors.parquet",
         _import("vectors.parquet", "--modality", "text"), IMPORTED),
    Kind("vectors.arff", "vectors", "vectors.arff",
         _import("vectors.arff", "--modality", "text"), IMPORTED),
    Kind("openSMILE, by name", "vectors", "smile.csv",
         _import("smile.csv", "--modality", "audio"), IMPORTED),
    Kind("openSMILE, by file", "vectors", "functionals.csv",
         _import("functionals.csv", "--modality", "audio", rows="parts.csv"), IMPORTED),
    Kind("ids.txt", "vectors", "ids.txt", _import("vectors.npy", *NPY), EDITED),
    Kind("ids.npy", "vectors", "ids.npy", _import("vectors.npy", *IDS_NPY), NO_DIGEST),
    Kind("rows of an import", "vectors", "rows.csv", _import("vectors.npz"), EDITED),
    Kind("seen.csv", "vectors", "seen.csv",
         _import("vectors.npz", seen="{here}/seen.csv"), EDITED),
    Kind("store, fold.h5", "store", "store/example/*/seed-0/fold-any.h5", OF_STORE),
    Kind("store, corpus.json", "store", "store/example/corpus.json", OF_STORE),
    Kind("store, manifest.parquet", "store", "store/example/manifest.parquet", OF_STORE),
    Kind("results, grid.csv", "results", "results/grid.csv", (*OF_RESULTS, REPORT), FIGURES),
    Kind("results, a cell", "results", "results/cells/*.npz", (GRID_AGAIN,)),
    Kind("results, predictions.parquet", "results", "results/predictions.parquet",
         (*OF_RESULTS, REPORT), ANSWERS),
    Kind("results, tables", "results", "results/[cst]*.csv", (REPORT,), NO_DIGEST),
    Kind("results, audit.json", "results", "results/audit.json", (REPORT,), NO_DIGEST),
    Kind("results, .written.json", "results", "results/.written.json", (GRID_AGAIN,)),
    Kind("results, plan.parquet", "results", "results/plan.parquet", (JUDGE,)),
    Kind("model, .json", "model", "model/*.json", (MODEL,)),
    Kind("model, arrays.npz", "model", "model/arrays.npz", (MODEL,)),
    Kind("model, card", "model", "model/README.md", (MODEL,)),
    Kind("plan.parquet", "plans", "plan.parquet", ON_PLAN, NO_DIGEST),
    Kind("systems.txt", "plans", "systems.txt", (SYSTEMS,), EDITED),
    Kind("folds of EmoBox", "fold files", "emobox/data/rows/fold_*/*.jsonl",
         _folds("emobox", "emobox/data/rows"), NO_DIGEST),
    Kind("folds of s3prl", "superb", "s3prl/*/*.json",
         _folds("iemocap-superb", "s3prl"), NO_DIGEST),
    _export("audformat", "db.yaml"),
    _export("audformat", "*.parquet"),
    _export("audformat-csv", "*.csv", "audformat"),
    _export("emobox", "data/rows/**/*.jsonl"),
    _export("emobox", "data/rows/**/*.json"),
    _export("huggingface", "*.json"),
    _export("huggingface", "*.arrow"),
    Kind("huggingface, data/*.parquet", "snapshot", "hub/data/*.parquet",
         _corpus("huggingface", "hub"), NO_DIGEST),
    _export("s3prl", "meta_data/*/*.json"),
    _export("speechbrain", "*/*.json"),
    _release("avamerg", "*.json"),
    _release("cremad", "**/*.csv"),
    _release("iemocap", "*/dialog/EmoEvaluation/Ses*.txt"),
    _release("iemocap", "*/dialog/transcriptions/Ses*.txt"),
    _release("meld", "*.csv"),
    _release("reels", "*.csv"),
    Kind("demo, demo_design.json", "demo", "data/*/demo_design.json",
         (Way("check-corpus", ("--corpus", "demo", "--root", "{here}/data", "--corpus-option",
              "video=no", "--media", "none", "--json"), reports=True),)),
    _media("wav", "audio", "sound_files"),
    _media("flac", "audio", "sound_files"),
    _media("mp3", "audio", "sound_files"),
    _media("ogg", "audio", "sound_files"),
    _media("m4a", "audio", "sound_files"),
    _media("mp4", "video", "films"),
    _media("avi", "video", "films"),
    _media("flv", "video", "films"),
    _media("mkv", "video", "films"),
    _media("mpg", "video", "films"),
    _media("wmv", "video", "films"),
    Kind("boxes of faces, .csv", "faces", "boxes.csv",
         _faces("--face-boxes", "{here}/boxes.csv"), EDITED),
    Kind("boxes of faces, .parquet", "faces", "boxes.parquet",
         _faces("--face-boxes", "{here}/boxes.parquet"), NO_DIGEST),
    Kind("face detector, .onnx", "faces", "faces.onnx",
         _faces("--face-weights", "{here}/faces.onnx"), DETECTOR),
    Kind("frame cache", "cached", "cache/*/[!.]*", (CACHE,)),
    Kind("what a check remembers", "checked", "out/media.jsonl", (CHECK_AGAIN,)),
    _encoder("demo-bert", "config.json"),
    _encoder("demo-bert", "tokenizer.json"),
    _encoder("demo-bert", "tokenizer_config.json"),
    _encoder("demo-bert", "model.safetensors"),
    _encoder("pickled", "pytorch_model.bin"),
    _encoder("sharded", "model.safetensors.index.json"),
    _encoder("worded", "vocab.txt"),
    Kind("encoder with a head", "encoders", "encoders/with-head/*",
         (_frozen("rows.csv", "text", "encoders/with-head", "--own-head"),), ENCODER),
    _encoder("demo-wav2vec2", "preprocessor_config.json", "audio"),
    Kind("encoder of pictures, *.json", "films", "encoder/*.json",
         (_frozen("mp4.csv", "video", "encoder"),), ENCODER),
    Kind("finished rows", "running", "store/**/part-*.npz", (EXTRACT_ON,)),
    Kind("checkpoint", "training", "store/**/checkpoint-*/*", (TRAIN_ON,)),
    Kind("tuned model", "models", "store/**/models/**/*.*", (TRAIN_ON,)),
    Kind("history.csv", "trained", "store/**/*.history.csv", (REPORT,), NO_DIGEST),
)  # fmt: skip
