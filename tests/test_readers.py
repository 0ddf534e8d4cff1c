"""Every call that opens or parses a file stands inside the one mechanism that explains it.

The mechanism is :func:`embeddings_store.reading.reading`. The source is walked for calls of
readers; one that stands outside of it is a fault unless it is named here, with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("embeddings_store", "extract", "classify")
MECHANISM = frozenset({"reading", "reading_media", "_decoding", "_reading"})
# By the last two parts of the name that is called, or by the last one where that is enough.
READERS = frozenset(
    {
        "ElementTree.fromstring",
        "ElementTree.parse",
        "Image.open",
        "audformat.Database",
        "av.open",
        "csv.DictReader",
        "csv.open_csv",
        "csv.reader",
        "datasets.load_from_disk",
        "h5py.File",
        "json.load",
        "json.loads",
        "np.fromfile",
        "np.load",
        "parquet.ParquetFile",
        "parquet.read_metadata",
        "parquet.read_schema",
        "parquet.read_table",
        "pd.read_csv",
        "pd.read_parquet",
        "pq.ParquetFile",
        "pq.read_schema",
        "pq.read_table",
        "soundfile.SoundFile",
        "soundfile.info",
        "soundfile.read",
        "tomllib.load",
        "torch.load",
        "yaml.load",
        "yaml.parse",
        "zipfile.ZipFile",
    }
)
LAST = frozenset(
    {
        "VideoReader",
        "from_pretrained",
        "load_file",
        "load_from_json",
        "open",
        "open_media",
        "read_bytes",
        "read_text",
        "safe_open",
    }
)
OURS = frozenset({"read_text", "read_json"})  # Names that stand for functions with it inside.

# Module and function of a reader that stands outside, with the reason.
OWN = "a file of the package itself"
OUTSIDE: Mapping[str, str] = {
    "embeddings_store.atomic:_sync_folder": "opens a folder to bring its names to the disk",
    "embeddings_store.atomic:replacing": "the file that was just written, to bring it to the disk",
    "embeddings_store.commands.common:_explained": "the place where everything goes that is unread",
    "embeddings_store.provenance:file_digest": "its callers say whose digest it is",
    "embeddings_store.vectors.hdf5:_plain": "an attribute, read within the file that is open",
    "embeddings_store.tables:_read_columns": "called by read_table alone, inside of it",
    "embeddings_store.vectors.hdf5:write_embeddings": "writes",
    "classify.grid.fold_loading:_manifest": "JSON that this process made",
    "classify.leakage.facts:_rows": OWN,
    "classify.report.page:_shown": "a figure that the same run has drawn",
    "classify.report.svg:inline": "a figure that the same run has drawn",
    "extract.corpora.__init__:_parsed_source": OWN,
    "extract.corpora.audformat:write": "writes",
    "extract.corpora.generated.__init__:__getitem__": OWN,
    "extract.encoders.text:digest_of_tokenizer": "JSON that the tokenizer in memory gives",
    "extract.finetuning.checkpoints:mark_complete": "files that the same run has written",
}
GENERATED = "extract.corpora.generated."  # What makes corpora with defects edits its own files.


def dotted(node: ast.expr) -> list[str]:
    """Return the parts of a name that is called: ``["path", "read_text"]``."""
    if isinstance(node, ast.Attribute):
        return [*dotted(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else [""]


def is_reader(call: ast.Call) -> bool:
    parts = dotted(call.func)
    if parts[-1] in OURS and len(parts) == 1:
        return False
    if parts[-1] == "open" and _writes(call):
        return False
    return parts[-1] in LAST or ".".join(parts[-2:]) in READERS


def _writes(call: ast.Call) -> bool:
    """Say whether a call of ``open`` names a mode that writes, or opens no file."""
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    modes = [text for text in texts if isinstance(text, str) and len(text) <= 3]
    return any(set(mode) & set("wax") for mode in modes)


def outside(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield ``module:function`` and the reader of every call that is not inside the mechanism."""
    yield from _walk(tree, f"{module}:", False)


def _walk(node: ast.AST, place: str, inside: bool) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        place, inside = f"{place.rpartition(':')[0]}:{node.name}", False
    if isinstance(node, ast.Call) and is_reader(node) and not inside:
        yield f"{place} {'.'.join(dotted(node.func))}"
    if isinstance(node, ast.With):
        for item in node.items:
            yield from _walk(item, place, inside)
            inside = inside or _is_mechanism(item.context_expr)
        for statement in node.body:
            yield from _walk(statement, place, inside)
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, place, inside)


def _is_mechanism(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Call) and dotted(expression.func)[-1] in MECHANISM


def house() -> list[str]:
    found: list[str] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if module.startswith(GENERATED) and module != f"{GENERATED}__init__":
                continue
            found += outside(ast.parse(path.read_text(encoding="utf-8")), module)
    return found


def test_every_reader_stands_inside_the_mechanism() -> None:
    unknown = [fault for fault in house() if fault.partition(" ")[0] not in OUTSIDE]
    assert not unknown, "\n".join(unknown)


def test_nothing_is_excused_that_is_not_there() -> None:
    there = {fault.partition(" ")[0] for fault in house()}
    assert set(OUTSIDE) <= there, set(OUTSIDE) - there


@pytest.mark.parametrize(
    "source",
    [
        "def f(p):\n    return p.read_text()",
        "def f(p):\n    with p.open() as h:\n        return json.load(h)",
        "def f(p):\n    with open(p, 'rb') as h, reading(p, 'x'):\n        pass",
        "def f(p):\n    with reading(p, 'x'):\n        def g():\n            return np.load(p)",
        "def f(p):\n    return Model.from_pretrained(p)",
    ],
)
def test_a_reader_outside_is_found(source: str) -> None:
    assert list(outside(ast.parse(source), "m"))


@pytest.mark.parametrize(
    "source",
    [
        "def f(p):\n    with reading(p, 'x'):\n        return p.read_text()",
        "def f(p):\n    with reading(p, 'x'), p.open() as h:\n        return json.load(h)",
        "def f(p):\n    p.open('wb')",
        "def f(p):\n    return read_json(p)",
    ],
)
def test_a_reader_inside_is_none(source: str) -> None:
    assert not list(outside(ast.parse(source), "m"))
