"""The floors of the house: which room may import which, and that nothing goes round in a circle.

Run as a script (``python tests/test_floors.py``) it prints the measures of today's code.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From top to bottom. A name may import the names of the lines below its own, never those of its own
# line or above. The first part is the packages themselves; in the others a name is a room (a
# folder) or a module of the package, and the package's own name is its face, the ``__init__.py``.
FLOORS: Mapping[str, Sequence[str]] = {
    "": [
        "extract classify",
        "embeddings_store",
    ],
    "classify": [
        "classify commands",
        "ablation audit labelling report",
        "bundle experiment figures single_system terminal",
        "results",
        "grid",
        "systems",
        "evaluation fusion leakage",
        "claim links metadata models names offline_page subtitles",
    ],
    "extract": [
        "extract commands",
        "checks",
        "pipeline",
        "corpora finetuning windows",
        "transcription",
        "encoders",
        "frames",
        "extras media",
    ],
    "embeddings_store": [
        "embeddings_store commands example store",
        "exchange load",
        "fold_request leak_gate",
        "vectors",
        "folds",
        "corpus",
        "atomic array_files tables",
        "arff_files",
        "csv_form",
        "reading",
        "errors interrupts json_values progress provenance",
    ],
}

# Modules that may import the sibling of their package, by their full name, with the reason.
COMPOSITION_ROOTS: Mapping[str, str] = {
    "classify.commands.emotion_model": "labels files: extraction makes what the bundle answers",
    "classify.commands.subtitle_film": "subtitles of films: extraction finds speech and words",
}

Arrows = dict[str, set[str]]  # module to the modules of the house that it imports


def modules(root: Path, packages: Sequence[str]) -> dict[str, Path]:
    """Return the path of every module by its full name, a package's for its ``__init__.py``."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def names_imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield what a module imports anywhere, ``from a import b`` as ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                # one dot is the folder that the module lies in, each further dot one above it
                above = node.level - is_package
                folder = module.split(".")[: len(module.split(".")) - above]
                base = ".".join([*folder, base]).removesuffix(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def read_arrows(root: Path, packages: Sequence[str]) -> Arrows:
    """Return every import between modules, also those inside functions and for types alone."""
    found = modules(root, packages)
    arrows: Arrows = {}
    for module, path in found.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        arrows[module] = set()
        for name in names_imported(tree, module, is_package=path.name == "__init__.py"):
            for target in (name, name.rpartition(".")[0]):
                if target in found:
                    arrows[module].add(target)
                    break
    return arrows


def room(module: str) -> str:
    """Return the room of a module in its package, which for the face is the package itself."""
    return module.split(".")[:2][-1]


def package(module: str) -> str:
    """Return the package of a module."""
    return module.partition(".")[0]


def levels(lines: Sequence[str]) -> dict[str, int]:
    """Return name to floor, 0 for the lowest.

    >>> levels(["commands", "grid models"])
    {'commands': 1, 'grid': 0, 'models': 0}
    """
    height = len(lines)
    return {name: height - row for row, line in enumerate(lines, 1) for name in line.split()}


def room_arrows(arrows: Arrows) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """Return the imports by package, importing room and imported room; none within one room."""
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for module, targets in arrows.items():
        for target in sorted(targets):
            if package(module) == package(target) and room(module) != room(target):
                between = (package(module), room(module), room(target))
                found.setdefault(between, []).append((module, target))
    return found


def find_circle(arrows: Arrows) -> list[str]:
    """Return the modules of one circle of imports, or nothing."""
    try:
        graphlib.TopologicalSorter({m: sorted(arrows[m]) for m in sorted(arrows)}).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def find_faults(
    arrows: Arrows, floors: Mapping[str, Sequence[str]], roots: Mapping[str, str]
) -> list[str]:
    """Return in words whatever is not as the table has it."""
    faults = []
    if circle := find_circle(arrows):
        faults.append(f"a circle: {' <- '.join(circle)}")
    for name in levels(floors[""]):
        there = {room(module) for module in arrows if package(module) == name}
        in_table = set(levels(floors[name]))
        faults += [f"{name}: the table has no {missing}" for missing in sorted(there - in_table)]
        faults += [f"{name}: there is no {gone}" for gone in sorted(in_table - there)]
    for module, targets in arrows.items():
        faults += [
            f"{module} imports {target}, which does not stand below it"
            for target in sorted(targets)
            if not may_import(module, target, floors, roots)
        ]
    faults += [f"there is no composition root {name}" for name in roots if name not in arrows]
    return faults


def may_import(
    module: str, target: str, floors: Mapping[str, Sequence[str]], roots: Mapping[str, str]
) -> bool:
    """Say whether the table allows an import; names that it lacks are a fault of their own."""
    if package(module) != package(target):
        of_packages = levels(floors[""])
        return module in roots or of_packages[package(module)] > of_packages[package(target)]
    of_rooms = levels(floors[package(module)])
    if room(module) == room(target) or not {room(module), room(target)} <= set(of_rooms):
        return True
    return of_rooms[room(module)] > of_rooms[room(target)]


def measures(arrows: Arrows) -> str:
    """Return floors, rooms, arrows between rooms and modules of each package, a line each."""
    between = room_arrows(arrows)
    lines = []
    for name in levels(FLOORS[""]):
        own = [module for module in arrows if package(module) == name]
        lines.append(
            f"{name}: {len(FLOORS[name])} floors, {len({room(module) for module in own})} rooms, "
            f"{sum(key[0] == name for key in between)} arrows between rooms, {len(own)} modules"
        )
    return "\n".join(lines)


@pytest.fixture(scope="module")
def arrows() -> Arrows:
    return read_arrows(ROOT, list(levels(FLOORS[""])))


def test_every_import_goes_down(arrows: Arrows) -> None:
    assert find_faults(arrows, FLOORS, COMPOSITION_ROOTS) == []


def test_only_commands_import_the_commands_of_the_store(arrows: Arrows) -> None:
    """The progress bar aside, which whoever computes for long may draw."""
    knowing = set()
    for module, targets in arrows.items():
        used = targets - {"embeddings_store.commands.progress"}
        if any(target.startswith("embeddings_store.commands") for target in used):
            knowing.add(room(module))
    assert knowing == {"commands"}


def test_every_floor_stands_on_the_one_right_below_it(arrows: Arrows) -> None:
    """Else the table has a floor too many."""
    between = room_arrows(arrows)
    for name in levels(FLOORS[""]):
        of_rooms = levels(FLOORS[name])
        heights = [(of_rooms[above], of_rooms[below]) for p, above, below in between if p == name]
        needed = {above for above, below in heights if above == below + 1}
        assert needed == set(range(1, len(FLOORS[name]))), name


def test_the_measures_can_be_printed(arrows: Arrows) -> None:
    assert f"classify: {len(FLOORS['classify'])} floors, " in measures(arrows)


SMALL = {"": ["east west", "ground"], "ground": ["ground", "files", "errors"]}
SMALL |= {side: [f"{side} commands", "rooms halls", "words"] for side in ("east", "west")}
SOUND = {
    "ground/__init__.py": "",
    "ground/files.py": "from ground.errors import Error",
    "ground/errors.py": "",
    **{
        f"{side}/{name}": text
        for side in ("east", "west")
        for name, text in {
            "__init__.py": "",
            "commands.py": "def main():\n    from .rooms.one import work",
            "rooms/__init__.py": "",
            "rooms/one.py": "import ground.files\nfrom . import two",
            "rooms/two.py": f"from {side} import words",
            "halls.py": f"import {side}.words as names",
            "words.py": "",
        }.items()
    },
}


def invented(folder: Path, changed: Mapping[str, str]) -> list[str]:
    for name, text in {**SOUND, **changed}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return find_faults(read(folder), SMALL, {"west.commands": "it shows both"})


def read(folder: Path) -> Arrows:
    return read_arrows(folder, list(levels(SMALL[""])))


def test_a_sound_house_has_no_fault(tmp_path: Path) -> None:
    assert invented(tmp_path, {}) == []


def test_a_composition_root_may_import_the_sibling(tmp_path: Path) -> None:
    assert invented(tmp_path, {"west/commands.py": "import east.rooms.one"}) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            {"east/words.py": "from east.halls import names"},
            "east.words imports east.halls, which does not stand below it",
        ),
        (
            {"east/halls.py": "def f():\n    from east.rooms import one"},
            "east.halls imports east.rooms.one, which does not stand below it",
        ),
        (
            {"east/rooms/two.py": "from ..commands import main"},
            "east.rooms.two imports east.commands, which does not stand below it",
        ),
        (
            {"east/rooms/__init__.py": "from .. import commands"},
            "east.rooms imports east.commands, which does not stand below it",
        ),
        (
            {"east/rooms/two.py": "if TYPE_CHECKING:\n    from east.rooms.one import Work"},
            "a circle: east.rooms.one <- east.rooms.two <- east.rooms.one",
        ),
        (
            {"east/commands.py": "import west.words"},
            "east.commands imports west.words, which does not stand below it",
        ),
        (
            {"ground/errors.py": "def f():\n    import east"},
            "ground.errors imports east, which does not stand below it",
        ),
        ({"east/attic.py": ""}, "east: the table has no attic"),
        ({"east/cellar/wine.py": "import east.words"}, "east: the table has no cellar"),
    ],
)
def test_a_fault_is_found(changed: Mapping[str, str], fault: str, tmp_path: Path) -> None:
    assert fault in invented(tmp_path, changed)


def test_a_table_that_names_what_is_gone_is_a_fault(tmp_path: Path) -> None:
    invented(tmp_path, {})
    (tmp_path / "west" / "halls.py").unlink()
    faults = find_faults(read(tmp_path), SMALL, {"west.halls": "it is gone"})
    assert faults == ["west: there is no halls", "there is no composition root west.halls"]


if __name__ == "__main__":
    print(measures(read_arrows(ROOT, list(levels(FLOORS[""])))))
