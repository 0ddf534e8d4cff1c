"""``import embeddings_store, extract, classify`` gives a notebook what it needs, at no cost."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import classify
import embeddings_store

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("embeddings_store", "extract", "classify")
HEAVY = {
    "torch",
    "transformers",
    "sklearn",
    "xgboost",
    "pandas",
    "h5py",
    "pyarrow",
    "matplotlib",
    "rich",
}


def offered(package: str) -> list[str]:
    """The names in a package's stub."""
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname or alias.name for node in imports for alias in node.names]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_face_is_there_and_documented(package: str) -> None:
    module = importlib.import_module(package)
    names = offered(package)
    assert sorted(module.__all__) == sorted(set(names)) and len(names) > 5
    undocumented = [name for name in names if not getattr(module, name).__doc__]
    assert undocumented == []
    assert (ROOT / package / "py.typed").is_file()


def test_importing_the_faces_loads_nothing_heavy() -> None:
    code = f"import sys, {', '.join(PACKAGES)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_five_lines_from_a_store_to_an_accuracy_and_ten_to_a_table(tmp_path: Path) -> None:
    store = embeddings_store.open_store(embeddings_store.write_example_store(tmp_path))
    result = classify.run_system("svm(concat(audio, text))", store, jobs=1)
    run = classify.run_grid(classify.GridConfig(store=store.path, out=tmp_path / "results", jobs=1))
    table = classify.read_results(tmp_path / "results").rows
    cell = table[table["cell"] == "early concatenation audio+text svm"]
    assert result.accuracy == cell["WA"].mean() == run.table.rows.loc[cell.index, "WA"].mean()
    assert result.uar == cell["UAR"].mean()
    answers = result.predictions
    right = (answers["label"] == answers["predicted"]).groupby(answers["fold"]).mean()
    assert right.tolist() == pytest.approx(cell["WA"].tolist(), abs=1e-12)


def test_a_fold_is_arrays_and_a_frame(tmp_path: Path) -> None:
    store = embeddings_store.open_store(embeddings_store.write_example_store(tmp_path))
    fold = store.fold(2, modalities=("text", "audio"))
    frame = fold.frame()
    assert frame["role"].value_counts().to_dict() == {"train": 24, "valid": 12, "test": 12}
    assert frame.loc[fold.test.ids].filter(regex=r"^text\.").to_numpy().tolist() == (
        fold.test.vectors["text"].tolist()
    )
    names = [fold.labels.classes[code] for code in fold.train.y]
    assert frame.loc[fold.train.ids, "label"].tolist() == names
    assert set(frame.loc[fold.test.ids, "group"]) == {"Ben"}
    assert store.contents()["modality"].tolist() == ["audio", "text"]


def test_a_store_that_is_not_there_and_a_corpus_that_is_not_named(tmp_path: Path) -> None:
    with pytest.raises(embeddings_store.StoreError, match="no corpus in this store"):
        embeddings_store.open_store(tmp_path / "nothing")
    store = embeddings_store.open_store(embeddings_store.write_example_store(tmp_path))
    with pytest.raises(embeddings_store.UsageError, match="did you mean 'example'"):
        store.fold(1, corpus="exampel")
    with pytest.raises(embeddings_store.UsageError, match="the grid's to choose"):
        store.fold(1, layer="valid")
    with pytest.raises(embeddings_store.UsageError, match="did you mean 'text'"):
        classify.run_system("svm(texxt)", store)


def test_a_figure_of_finished_results_for_a_notebook(tmp_path: Path) -> None:
    store = embeddings_store.write_example_store(tmp_path)
    out = tmp_path / "results"
    classify.run_grid(classify.GridConfig(store=store, out=out, classifiers=("svm",), jobs=1))
    assert {"confusion", "systems", "map, text"} <= set(classify.figure_names(out))
    figure = classify.draw_figure(out, "confusion")
    assert figure.axes and figure.axes[0].get_xlabel()
    assert classify.draw_figure(out, "map, text", store).axes
    with pytest.raises(embeddings_store.UsageError, match="no figure 'loss by step, text'"):
        classify.draw_figure(out, "loss by step, text", store)
    with pytest.raises(embeddings_store.UsageError, match="did you mean 'confusion'"):
        classify.draw_figure(out, "confusions")


def test_the_examples_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    embeddings_store.write_example_store(tmp_path).rename(tmp_path / "embeddings")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "confusion.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "(24, 6)" in shown and "early concatenation audio+text svm" in shown
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) == 5 and len(blocks[1].split("\n")) <= 11
