"""Folds that can only be read from their authors' own files.

EmoBox's jsonl and the JSON of s3prl (SUPERB).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError
from embeddings_store.folds.plan import ROLE_CODE, Fold, FoldPlan
from embeddings_store.reading import read_text, reading

RESTORE = "restore it from its source"
SUPERB_VALID_RATIO, SUPERB_SEED = 0.2, 0
EMOBOX_SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def read_emobox(folder: Path, manifest: Manifest) -> FoldPlan:
    """Read ``fold_1/CORPUS_train_fold_1.jsonl`` and so on.

    Validation rows are those of a ``valid`` file, else there are none.

    Args:
        folder: EmoBox's ``data/CORPUS``.
        manifest: The corpus; ids are EmoBox's keys without the corpus, or the stems of its files.

    Raises:
        FoldError: The folder or a file is not EmoBox's, a row is twice in a fold, or the corpus
            lacks a row.
    """
    folders = sorted(
        (path for path in _entries(folder) if re.fullmatch(r"fold_\d+", path.name)),
        key=lambda path: int(path.name[5:]),
    )
    if not folders:
        raise FoldError(
            f"{folder}: no folder fold_1 in it; EmoBox keeps the folds of a corpus in "
            "data/CORPUS/fold_K"
        )
    places = {name: place for place, name in enumerate(manifest.ids.tolist())}
    folds = []
    for path in folders:
        roles = np.zeros(len(manifest), dtype=np.uint8)
        number = int(path.name[5:])
        for role in ("train", "valid", "test"):
            found = [
                p
                for p in _entries(path)
                if re.fullmatch(rf".+_{role}_fold_{number}\.jsonl", p.name)
            ]
            if len(found) != 1 and not (role == "valid" and not found):
                raise FoldError(
                    f"{path}: {len(found)} files *_{role}_fold_{number}.jsonl; one was expected"
                )
            for file in found:
                _assign(
                    roles,
                    role,
                    (_emobox_place(row, places) for row in _json_lines(file)),
                    file,
                    manifest,
                )
        folds.append(Fold(number, path.name, roles))
    valid = "files" if all(fold.mask("valid").any() for fold in folds) else "none"
    return FoldPlan("files", valid, manifest.ids, tuple(folds))


def read_s3prl(folder: Path, manifest: Manifest) -> FoldPlan:
    """Read ``Session1/train_meta_data.json`` and its like, and draw SUPERB's validation rows.

    A fifth of the training rows validates, drawn over rows in the order of the file as
    ``torch.manual_seed(0)`` and ``random_split`` draw them.

    Raises:
        FoldError: The folder or a file is not s3prl's, a row is twice in a fold, or the corpus
            lacks a row.
    """
    folders = sorted(path for path in _entries(folder) if re.fullmatch(r"Session\d", path.name))
    if not folders:
        raise FoldError(
            f"{folder}: no folder Session1 in it; s3prl keeps them in downstream/emotion/meta_data"
        )
    places = {name: place for place, name in enumerate(manifest.ids.tolist())}
    folds = []
    for number, path in enumerate(folders, start=1):
        roles = np.zeros(len(manifest), dtype=np.uint8)
        training = list(_s3prl_names(path / "train_meta_data.json"))
        order = torch_permutation(len(training), SUPERB_SEED)
        fitted = int((1 - SUPERB_VALID_RATIO) * len(training))
        for role, names in (
            ("train", [training[i] for i in order[:fitted]]),
            ("valid", [training[i] for i in order[fitted:]]),
            ("test", list(_s3prl_names(path / "test_meta_data.json"))),
        ):
            _assign(roles, role, ((name, places.get(name, -1)) for name in names), path, manifest)
        folds.append(Fold(number, path.name, roles))
    return FoldPlan("files", "random-fifth", manifest.ids, tuple(folds), ("train+valid",))


READERS: Mapping[str, Callable[[Path, Manifest], FoldPlan]] = {
    "emobox": read_emobox,
    "s3prl": read_s3prl,
}


def torch_permutation(n: int, seed: int) -> NDArray[np.int64]:
    """Return ``torch.randperm(n)`` (n,) after ``torch.manual_seed(seed)``, without torch.

    >>> torch_permutation(5, 0).tolist()
    [4, 0, 1, 3, 2]
    """
    generator = np.random.MT19937()
    generator._legacy_seeding(seed)
    drawn = np.asarray(generator.random_raw(max(n, 1)), dtype=np.int64)
    order = np.arange(n)
    for i in range(n - 1):
        j = i + int(drawn[i]) % (n - i)
        order[[i, j]] = order[[j, i]]
    return order


def _assign(
    roles: NDArray[np.uint8],
    role: str,
    rows: Iterator[tuple[str, int]],
    file: Path,
    manifest: Manifest,
) -> None:
    absent = []
    for name, place in rows:
        if place < 0:
            absent.append(name)
        elif roles[place]:
            raise FoldError(
                f"{file}: {name!r} is in this fold twice; restore the file from its source"
            )
        else:
            roles[place] = ROLE_CODE[role]
    if absent:
        raise FoldError(
            f"{file}: {len(absent)} rows are not in corpus {manifest.name!r}, first {absent[0]!r}; "
            "the folds are of the whole release, or of another corpus"
        )


def _emobox_place(row: Mapping[str, object], places: Mapping[str, int]) -> tuple[str, int]:
    """Return EmoBox's key and the place of its row in the manifest, -1 where it has none."""
    key = str(row["key"])
    bare = key.removeprefix(f"{row.get('dataset', '')}-")
    name, _, split = bare.rpartition("-")
    for candidate in (
        key,
        bare,
        f"{EMOBOX_SPLITS.get(split, '')}_{name}",
        PurePosixPath(str(row.get("wav", ""))).stem,
    ):
        if candidate in places:
            return key, places[candidate]
    return key, -1


def _json_lines(file: Path) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if line.strip():
            row = _parsed(line, file, f"line {number}: ")
            if not isinstance(row, dict) or "key" not in row:
                raise FoldError(f"{file}, line {number}: is no row of EmoBox (no 'key')")
            yield row


def _s3prl_names(file: Path) -> Iterator[str]:
    data = _parsed(_text(file), file, "")
    rows = data.get("meta_data") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and "path" in row for row in rows
    ):
        raise FoldError(f"{file}: is no file of s3prl (no list 'meta_data' of rows with a 'path')")
    return (PurePosixPath(str(row["path"])).stem for row in rows)


def _parsed(text: str, file: Path, where: str) -> object:
    with reading(file, "", RESTORE, FoldError, fault=f"{where}is no JSON"):
        return json.loads(text)


def _text(file: Path) -> str:
    return read_text(file, advice=RESTORE, raises=FoldError)


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FoldError(f"{folder}: no such folder")
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
