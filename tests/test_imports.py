"""What a package must not import: no torch outside ``extract``, no extra where it may be absent.

Which package and room may import which of ours is in ``test_floors.py``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TORCH = {
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "safetensors",
    "librosa",
    "av",
    "huggingface_hub",
    "tokenizers",
}
LEARNING = {"sklearn", "xgboost", "joblib", "matplotlib"}
# Exceptions to what a package may import: file and name, inside a function or for types alone.
WHEN_CALLED = {("embeddings_store/progress.py", "rich")}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the first name of every absolute import, and whether it runs with the module's."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    yield from _imports(tree, at_import=True)


def _imports(node: ast.AST, *, at_import: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if child.level == 0 and child.module:
                yield child.module.split(".")[0], at_import
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports(child, at_import=False)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (
                (name, False)
                for part in child.body
                for name, _ in _imports(ast.Module([part], []), at_import=False)
            )
            yield from (
                found
                for part in child.orelse
                for found in _imports(ast.Module([part], []), at_import=at_import)
            )
        else:
            yield from _imports(child, at_import=at_import)


def test_the_reader_of_imports_finds_them_all(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "import a.b, c\nfrom d.e import f\nfrom . import g\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import h\nelse:\n    import i\ntry:\n    import j\nexcept "
        "ImportError:\n    pass\n"
        "class K:\n    import l\ndef m():\n    if True:\n        from n import o\n"
    )
    assert set(imports(path)) == {
        ("a", True),
        ("c", True),
        ("d", True),
        ("typing", True),
        ("h", False),
        ("i", True),
        ("j", True),
        ("l", True),
        ("n", False),
    }


@pytest.mark.parametrize(
    ("package", "anywhere", "at_import"),
    [
        (
            "embeddings_store",
            {"extract", "classify", "benchmarks", "tests", "rich", *TORCH, *LEARNING} - {"sklearn"},
            {"sklearn"},
        ),
        ("classify", {"benchmarks", "tests", *TORCH}, {"extract"}),
        ("extract", {"classify", "benchmarks", "tests"}, set()),
    ],
)
def test_no_module_imports_what_its_package_must_not(
    package: str, anywhere: set[str], at_import: set[str]
) -> None:
    found = modules(package)
    assert found
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in found
        for name, runs in imports(path)
        if (name in anywhere or (runs and name in at_import))
        and (runs or (str(path.relative_to(ROOT)), name) not in WHEN_CALLED)
    ]
    assert wrong == []


def test_what_may_be_imported_when_called_is_imported_there() -> None:
    """So that the exception goes when its reason does."""
    for place, name in WHEN_CALLED:
        assert (name, False) in set(imports(ROOT / place))


def test_only_drawn_fold_plans_need_scikit_learn_in_the_store() -> None:
    """Both stages have to draw the same plan, and neither may import the other."""
    assert {
        path.stem
        for path in modules("embeddings_store")
        for name, _ in imports(path)
        if name == "sklearn"
    } == {"drawn"}


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is not there", name=name)
sys.meta_path.insert(0, Blocker())
"""


def without(blocked: set[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own in which some packages cannot be imported."""
    code = BLOCKED.format(blocked=sorted(blocked)) + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_the_blocker_blocks() -> None:
    assert "torch is not there" in without(TORCH, "import torch").stderr


@pytest.mark.parametrize(
    ("module", "blocked"),
    [
        ("embeddings_store.commands.embeddings_store", {"extract", "classify", *TORCH, *LEARNING}),
        ("classify.commands.run_fusion_grid", {"extract", *TORCH}),
    ],
)
def test_the_store_and_the_grid_work_without_torch(module: str, blocked: set[str]) -> None:
    if not (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
        pytest.skip(f"{module} is not written yet")
    code = (
        f"import embeddings_store, classify\nfrom {module} import main\nsys.exit(main(['--help']))"
    )
    if "classify" in blocked:
        code = code.replace("embeddings_store, classify", "embeddings_store")
    done = without(blocked, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit status: 0 done" in done.stdout


def test_every_module_of_the_torch_free_packages_is_importable_without_torch() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("embeddings_store", "classify")
        for path in modules(package)
        if path.name not in {"__init__.py", "__main__.py"}
    ]
    done = without(
        {"extract", *TORCH},
        f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name)\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


MEDIA = {
    "PIL",
    "av",
    "librosa",
    "soundfile",
    "safetensors",
    "tokenizers",
    "accelerate",
    "huggingface_hub",
}


@pytest.mark.parametrize("command", ["check_corpus", "convert_corpus"])
def test_the_commands_for_corpora_work_without_their_extras(command: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "id,audio,label,session\na,a.wav,x,1\nb,b.wav,y,2\n", encoding="utf-8"
    )
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    asked = ["--corpus", "manifest", "--root", str(tmp_path / "rows.csv")]
    more = {
        "check_corpus": ["--media", "all"],
        "convert_corpus": ["--to", "audformat", "--out", str(tmp_path / "out")],
    }[command]
    blocked = TORCH | MEDIA | {"audformat", "datasets", "matplotlib"}
    helped = without(
        blocked, f"from extract.commands.{command} import main\nsys.exit(main(['--help']))"
    )
    assert (helped.returncode, helped.stderr) == (0, "")
    done = without(
        blocked, f"from extract.commands.{command} import main\nsys.exit(main({asked + more!r}))"
    )
    assert done.returncode == 3 and "install the extra" in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--list"]])
def test_extraction_explains_itself_without_its_extra(arguments: list[str]) -> None:
    done = without(
        TORCH | MEDIA,
        f"from extract.commands.extract_features import main\nsys.exit(main({arguments!r}))",
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("corpus", ["manifest", "demo"])
def test_extraction_without_its_extra_says_which_one_it_needs(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "id,text,label,session\na,hello,x,1\nb,bye,y,2\n", encoding="utf-8"
    )
    root = tmp_path / "rows.csv" if corpus == "manifest" else tmp_path
    arguments = [
        "--corpus",
        corpus,
        "--root",
        str(root),
        "--modality",
        "text",
        "--frozen",
        "--encoder",
        str(tmp_path),
    ]
    (tmp_path / "config.json").write_text(
        '{"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1}', encoding="utf-8"
    )
    done = without(
        TORCH | MEDIA,
        f"from extract.commands.extract_features import main\nsys.exit(main({arguments!r}))",
    )
    assert done.returncode == 3, done.stderr
    assert "extract" in done.stderr and "install the extra" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
