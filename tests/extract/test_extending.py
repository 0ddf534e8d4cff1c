"""To add an encoder, a corpus or a command, only what CONTRIBUTING names has to be touched."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders

import extract.commands
import extract.corpora
import extract.encoders
from embeddings_store.vectors.hdf5 import read_embeddings
from extract.commands.extract_features import main
from extract.corpora import READERS, corpus_names, format_names
from extract.encoders import REGISTRY, hub, load_encoder, registry

ROOT = Path(__file__).parents[2]
READER = '''"""Sentences with their mood, one a line."""

from pathlib import Path

from embeddings_store.corpus.labels import LabelSet
from embeddings_store.corpus.manifest import Manifest


def read(root: Path, *, lower: bool = False) -> Manifest:
    """Read ``moods.txt``."""
    lines = (root / "moods.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(": ") for line in lines]
    columns = {
        "id": [f"m{number}" for number in range(len(pairs))],
        "label": [label for label, _ in pairs],
        "speaker": [f"s{number % 2}" for number in range(len(pairs))],
        "text": [text.lower() if lower else text for _, text in pairs],
    }
    return Manifest.from_columns("moods", columns, labels=LabelSet("moods", ("happy", "sad")))
'''
COMMAND = '''"""The command ``count-clips``: how many rows of a corpus have each modality."""

import argparse
from pathlib import Path

from embeddings_store.commands.common import guarded, parser
from extract.corpora import read_corpus


def main(argv=None):
    """Run the command and return its exit status."""
    top = parser("count-clips", "Count what a corpus has.", ["count-clips --corpus moods"])
    top.add_argument("--corpus", required=True)
    top.add_argument("--root", type=Path, required=True)
    return guarded(lambda: _run(top.parse_args(argv)), "count-clips")


def _run(arguments: argparse.Namespace) -> int:
    manifest = read_corpus(arguments.corpus, arguments.root)
    print(f"{manifest.name}: {int(manifest.given('text').sum())} with text")
    return 0
'''


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """Add the corpus ``moods`` by one file, and return the folder of its release."""
    folder = tmp_path / "readers"
    folder.mkdir()
    (folder / "moods.py").write_text(READER, encoding="utf-8")
    # A folder beside the real one, so that the test writes nothing into the package.
    monkeypatch.setattr(extract.corpora, "__path__", [*extract.corpora.__path__, str(folder)])
    release = tmp_path / "release"
    release.mkdir()
    lines = [f"{('happy', 'sad')[i % 2]}: The kids are talking by the door {i}" for i in range(8)]
    (release / "moods.txt").write_text("\n".join(lines), encoding="utf-8")
    yield release
    sys.modules.pop("extract.corpora.moods", None)


def rows_of(table: str) -> dict[str, str]:
    """Return what one may add, and what has to be touched, as CONTRIBUTING lists it."""
    page = (ROOT / table).read_text(encoding="utf-8")
    return dict(re.findall(r"^\| (.+?) \| (.+?) \|$", page, flags=re.MULTILINE))


def test_contributing_names_the_places_that_these_tests_touch():
    places = rows_of("CONTRIBUTING.md")
    assert (
        "one row in `extract/encoders/registry.py`" in places["an encoder of a known architecture"]
    )
    assert places["a corpus"].startswith("one file in `extract/corpora/`")
    command = places["a command"]
    assert "one module in" in command and "[project.scripts]" in command


def test_a_corpus_is_one_file(corpus, tmp_path, capsys):
    assert "moods" in corpus_names() and "moods" not in format_names()
    assert READERS["moods"].summary == "Sentences with their mood, one a line."
    assert READERS["moods"].options() == {"lower": False}
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "moods      Sentences with their mood, one a line." in listed
    assert "--corpus-option lower=False" in listed
    model = tiny_encoders.save(spec("bert-base-uncased"), tmp_path)
    asked = ["--corpus", "moods", "--root", str(corpus), "--corpus-option", "lower=yes"]
    assert main([*asked, *frozen(model, tmp_path / "e")]) == 0
    file = read_embeddings(Path(capsys.readouterr().out.strip()))
    assert file.ok.all() and file.ids.tolist() == [f"m{i}" for i in range(8)]


def test_an_encoder_is_one_row(corpus, tmp_path, monkeypatch, capsys):
    row = replace(spec("bert-base-uncased"), name="mood-bert", hub_id="somebody/mood-bert")
    folder = tiny_encoders.save(row, tmp_path)
    monkeypatch.setattr(registry, "REGISTRY", (*REGISTRY, row))
    monkeypatch.setattr(extract.encoders, "REGISTRY", registry.REGISTRY)
    # Its weights lie on the Hub; here they are where a download would have put them.
    monkeypatch.setattr(hub, "fetch_model", lambda hub_id, revision: {row.hub_id: folder}[hub_id])
    assert main(["--list"]) == 0
    assert re.search(r"mood-bert +text .*somebody/mood-bert", capsys.readouterr().out)
    asked = ["--corpus", "moods", "--root", str(corpus)]
    assert main([*asked, *frozen("mood-bert", tmp_path / "e")]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.parts[-3].startswith("mood-bert@")
    expected = load_encoder("mood-bert", device="cpu").encode(
        [line.partition(": ")[2] for line in (corpus / "moods.txt").read_text().splitlines()]
    )
    np.testing.assert_allclose(read_embeddings(path).vectors, expected[:, 0], atol=1e-6)


def test_a_command_is_one_module_and_one_line(corpus, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "count_clips.py").write_text(COMMAND, encoding="utf-8")
    monkeypatch.setattr(extract.commands, "__path__", [*extract.commands.__path__, str(folder)])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    line = 'count-clips = "extract.commands.count_clips:main"'
    project = project.replace("[project.scripts]\n", f"[project.scripts]\n{line}\n")
    scripts = tomllib.loads(project)["project"]["scripts"]
    module, _, function = scripts["count-clips"].partition(":")
    try:
        command = getattr(importlib.import_module(module), function)
        assert command(["--corpus", "moods", "--root", str(corpus)]) == 0
        assert capsys.readouterr().out == "moods: 8 with text\n"
        with pytest.raises(SystemExit) as stopped:
            command(["--help"])
    finally:
        sys.modules.pop(module, None)
    assert stopped.value.code == 0
    assert "exit status: 0 done" in capsys.readouterr().out


def test_every_installed_command_is_a_module_of_its_own_name():
    """So that one who knows a command finds its file."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name, target in scripts["project"]["scripts"].items():
        module, _, function = target.partition(":")
        assert module.rpartition(".")[2] == name.replace("-", "_")
        assert module.split(".")[1] == "commands"
        assert callable(getattr(importlib.import_module(module), function))


def spec(name: str):
    """The registry's row of that name."""
    [row] = [row for row in REGISTRY if row.name == name]
    return row


def frozen(encoder: Path | str, store: Path) -> list[str]:
    return [
        "--modality",
        "text",
        "--frozen",
        "--encoder",
        str(encoder),
        "--device",
        "cpu",
        "--store",
        str(store),
    ]
