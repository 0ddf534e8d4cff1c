"""Fold plans: which row trains, validates and tests in which fold, disjoint by group and named.

A plan is named by what makes it, so that two results say whether they may be compared:

==========================  =======================================================================
name                        folds
==========================  =======================================================================
``split``                   one: the corpus' own ``split`` column (train, valid or dev, test)
``leave-one-session-out``   one per session; likewise ``speaker`` and ``group``
``speaker-kfold:6``         six blocks of neighbouring speakers; likewise ``session`` and ``group``
``given``                   those that the columns ``meta_fold_1``, ``meta_fold_2`` ... hold, a role per row
==========================  =======================================================================

Where groups rotate, ``valid="next"`` lets the next block validate, cyclically, and ``valid="none"`` trains on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from embeddings_store.atomic import make_folder, replacing
from embeddings_store.errors import FoldError, StoreError, StoreNotFoundError, did_you_mean, unknown_name
from embeddings_store.manifest import Manifest
from embeddings_store.tables import first_line

FORMAT = "emotion-fold-plan"
VERSION = 1
ROLES = ("unused", "train", "valid", "test")
ROLE_CODE = {role: code for code, role in enumerate(ROLES)}
SPLIT_ROLES = {"train": "train", "training": "train", "trn": "train", "valid": "valid", "validation": "valid",
               "val": "valid", "dev": "valid", "development": "valid", "test": "test", "tst": "test", "": "unused"}
VALID_RULES = ("next", "none")
ROTATING = ("session", "speaker", "group")
PLAN_NAMES = ("split", "given", *(f"leave-one-{c}-out" for c in ROTATING), *(f"{c}-kfold:K" for c in ROTATING))


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of a plan.

    Attributes:
        number: 1 to the number of folds.
        name: What it holds out, for example ``"Ses03"``.
        roles: Role code per manifest row (N,), see :data:`ROLES`.
    """

    number: int
    name: str
    roles: NDArray[np.uint8]

    def mask(self, role: str) -> NDArray[np.bool_]:
        """Rows of one role, shape (N,)."""
        return np.asarray(self.roles == ROLE_CODE[role])

    def counts(self) -> dict[str, int]:
        """Return how many rows each role has."""
        return {role: int(self.mask(role).sum()) for role in ROLES}


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """The folds of one protocol over one manifest.

    Attributes:
        name: The protocol, for example ``"speaker-kfold:6"``.
        valid: The rule that names the validation rows.
        ids: Manifest ids in row order (N,).
        folds: One or more folds over these rows.
    """

    name: str
    valid: str
    ids: NDArray[np.str_]
    folds: tuple[Fold, ...]

    def __post_init__(self) -> None:
        """Check that every fold covers the rows and has rows to train and to test on."""
        if not self.folds:
            raise FoldError(f"plan {self.name!r} has no folds")
        if len({fold.number for fold in self.folds}) != len(self.folds):
            raise FoldError(f"plan {self.name!r} has two folds of the same number")
        for fold in self.folds:
            if fold.roles.shape != (len(self.ids),):
                raise FoldError(f"fold {fold.number} of {self.name!r} has {len(fold.roles)} roles for {len(self.ids)} rows")
            if not np.isin(fold.roles, range(len(ROLES))).all():
                raise FoldError(f"fold {fold.number} of {self.name!r} holds the role {fold.roles.max()}; roles are 0 to "
                                f"{len(ROLES) - 1} ({', '.join(ROLES)})")
            for role in ("train", "test"):
                if not fold.mask(role).any():
                    raise FoldError(f"fold {fold.number} ({fold.name}) of {self.name!r} has no {role} rows; "
                                    "choose a plan with more groups, or fill the split column")

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    def fold(self, number: int) -> Fold:
        """Return fold ``number``, counted from 1."""
        for fold in self.folds:
            if fold.number == number:
                return fold
        raise FoldError(f"plan {self.name!r} has folds {', '.join(str(f.number) for f in self.folds)}, not {number}")

    @property
    def has_valid(self) -> bool:
        """Say whether every fold has validation rows."""
        return all(fold.mask("valid").any() for fold in self.folds)

    @property
    def digest(self) -> str:
        """Twelve hex digits over ids and roles; the name does not count."""
        hasher = hashlib.sha256(f"{len(self.ids)} rows\x00".encode())
        hasher.update("\x00".join(self.ids.tolist()).encode())
        for fold in self.folds:
            hasher.update(f"\x00fold {fold.number}\x00".encode() + fold.roles.tobytes())
        return hasher.hexdigest()[:12]

    def check(self, manifest: Manifest, only: int | None = None) -> None:
        """Check the plan against its manifest: same rows, groups in one role, every class in train.

        Args:
            manifest: The corpus.
            only: Number of the one fold to check; none checks all.

        Raises:
            FoldError: Which fold breaks which promise, and where.
        """
        if not np.array_equal(self.ids, manifest.ids):
            raise FoldError(f"plan {self.name!r} was made for {len(self.ids)} other rows than the {len(manifest)} of corpus "
                            f"{manifest.name!r}; make it again for this manifest")
        codes, groups = manifest.codes(), manifest.table["group"]
        place, names = pd.factorize(groups)
        for fold in self.folds if only is None else (self.fold(only),):
            _check_groups(self.name, fold, np.where(groups == "", -1, place), names)
            if manifest.labels is None:
                continue
            present = np.bincount(codes[fold.mask("train") & (codes >= 0)], minlength=len(manifest.labels.classes))
            absent = [name for name, count in zip(manifest.labels.classes, present, strict=True) if not count]
            if absent:
                raise FoldError(f"fold {fold.number} ({fold.name}) of {self.name!r} has no training row of class "
                                f"{absent[0]!r} ({len(absent)} of {len(manifest.labels.classes)} classes absent); "
                                "use fewer folds, another grouping, or a label set without it")

    def save(self, path: Path) -> None:
        """Write the plan as Parquet: ``id`` and one column of roles per fold, whole or not at all."""
        columns = {"id": pa.array(self.ids.tolist(), pa.string())}
        columns |= {f"fold-{f.number}": pa.array(np.array(ROLES, dtype=object)[f.roles], pa.string()) for f in self.folds}
        about = {"format": FORMAT, "version": str(VERSION), "plan": self.name, "valid": self.valid, "digest": self.digest,
                 "names": json.dumps([fold.name for fold in self.folds], ensure_ascii=False)}
        make_folder(path.parent)
        with replacing(path) as temporary:
            parquet.write_table(pa.table(columns).replace_schema_metadata(about), temporary)

    @classmethod
    def load(cls, path: Path) -> FoldPlan:
        """Read a plan written by :meth:`save`, and compare its digest.

        Raises:
            StoreNotFoundError: No such file.
            StoreError: The file is damaged, is not a fold plan, or is of a newer version.
        """
        if not path.is_file():
            raise StoreNotFoundError(f"{path}: no such fold plan")
        try:
            table = parquet.read_table(path)
            about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            if about.get("format") != FORMAT:
                raise StoreError(f"{path}: is a table, but not a fold plan of this project (no metadata format={FORMAT!r})")
            if int(about["version"]) > VERSION:
                raise StoreError(f"{path}: has format version {about['version']}, this program reads up to {VERSION}; "
                                 "update the program")
            columns = [name for name in table.column_names if re.fullmatch(r"fold-\d+", name)]
            folds = [Fold(int(column[5:]), str(name), _role_codes(table[column].to_pylist()))
                     for column, name in zip(columns, json.loads(about["names"]), strict=True)]
            plan = cls(about["plan"], about["valid"], np.array(table["id"].to_pylist(), dtype=str), tuple(folds))
        except StoreError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: is damaged or not a fold plan of this project ({first_line(error)}); remove it, it is "
                             "made again from the manifest") from error
        if plan.digest != about.get("digest"):
            raise StoreError(f"{path}: the roles (digest {plan.digest}) are not those that were written ({about.get('digest')}); "
                             "remove it, it is made again from the manifest")
        return plan


def make_plan(manifest: Manifest, name: str = "", valid: str = "next") -> FoldPlan:
    """Make and check the plan called ``name``; empty means the corpus' own protocol.

    >>> m = Manifest.from_columns("m", {"id": list("abcdef"), "label": ["x", "y"] * 3, "text": ["t"] * 6,
    ...                                 "session": ["1", "1", "2", "2", "3", "3"]})
    >>> plan = make_plan(m, "leave-one-session-out")
    >>> [ROLES[r] for r in plan.fold(1).roles]
    ['test', 'test', 'valid', 'valid', 'train', 'train']

    Raises:
        UnknownNameError: No plan has this name.
        FoldError: The manifest does not allow it.
    """
    name = name or manifest.protocol
    if not name:
        raise FoldError(f"corpus {manifest.name!r} names no protocol and gives no split, session, speaker or group to make "
                        f"one from; add such a column, or choose --folds from {', '.join(PLAN_NAMES)}")
    if valid not in VALID_RULES:
        unknown_name("validation rule", valid, VALID_RULES)
    if name == "split":
        plan = FoldPlan(name, "split", manifest.ids, (Fold(1, "split", _roles_in(manifest, "split")),))
    elif name == "given":
        plan = FoldPlan(name, "given", manifest.ids, tuple(_given_folds(manifest)))
    elif match := re.fullmatch(r"leave-one-(\w+)-out", name):
        plan = _rotating(manifest, name, match[1], 0, valid)
    elif match := re.fullmatch(r"(\w+)-kfold:(\d+)", name):
        plan = _rotating(manifest, name, match[1], int(match[2]), valid)
    else:
        unknown_name("fold plan", name, PLAN_NAMES)
    plan.check(manifest)
    return plan


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Sort key under which ``actor-2`` comes before ``actor-10``.

    >>> sorted(["a10", "a2", "b1"], key=natural_key)
    ['a2', 'a10', 'b1']
    """
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", text) if part]


def _roles_in(manifest: Manifest, column: str) -> NDArray[np.uint8]:
    """Return the role of each row (N,) that a column names."""
    splits = manifest.table[column].str.lower()
    unknown = sorted(set(splits) - set(SPLIT_ROLES))
    if unknown:
        hint, rows = did_you_mean(unknown[0], SPLIT_ROLES) or ";", int((splits == unknown[0]).sum())
        raise FoldError(f"corpus {manifest.name!r} has the {column} {unknown[0]!r} in {rows} rows{hint} "
                        f"known: {', '.join(filter(None, SPLIT_ROLES))}; leave it empty for rows that play no role")
    return np.asarray(splits.map(SPLIT_ROLES).map(ROLE_CODE).to_numpy(dtype=np.uint8))


def _given_folds(manifest: Manifest) -> Iterator[Fold]:
    """Yield the folds that somebody else drew: one for each column ``meta_fold_<number>``."""
    numbers = sorted(int(match[1]) for c in manifest.table if (match := re.fullmatch(r"meta_fold_(\d+)", str(c))))
    if not numbers:
        raise FoldError(f"corpus {manifest.name!r} has no columns meta_fold_1, meta_fold_2 ... with train, valid or test in each "
                        "row; add them, or choose another plan")
    for number in numbers:
        yield Fold(number, f"fold-{number}", _roles_in(manifest, f"meta_fold_{number}"))


def _rotating(manifest: Manifest, name: str, column: str, blocks: int, valid: str) -> FoldPlan:
    if column not in ROTATING:
        unknown_name("column to fold by", column, ROTATING)
    values = manifest.column(column)
    if (values == "").any():
        raise FoldError(f"plan {name!r} needs a {column} for every row; {int((values == '').sum())} of {len(values)} rows of "
                        f"corpus {manifest.name!r} have none")
    groups = sorted(set(values.tolist()), key=natural_key)
    blocks = blocks or len(groups)
    if not 2 <= blocks <= len(groups) or (valid == "next" and blocks < 3):
        needed = 3 if valid == "next" else 2
        raise FoldError(f"plan {name!r} asks for {blocks} folds of {len(groups)} different values in column {column!r}; it "
                        f"takes {needed} folds or more (test, train{', valid' if needed == 3 else ''}) and a value for each")
    block_of = {g: i for i, part in enumerate(np.array_split(np.array(groups), blocks)) for g in part.tolist()}
    position = np.array([block_of[v] for v in values.tolist()])
    folds = []
    for held_out in range(blocks):
        roles = np.full(len(values), ROLE_CODE["train"], dtype=np.uint8)
        if valid == "next":
            roles[position == (held_out + 1) % blocks] = ROLE_CODE["valid"]
        roles[position == held_out] = ROLE_CODE["test"]
        members = [g for g in groups if block_of[g] == held_out]
        folds.append(Fold(held_out + 1, members[0] if len(members) == 1 else f"{members[0]}..{members[-1]}", roles))
    return FoldPlan(name, valid, manifest.ids, tuple(folds))


def _role_codes(words: list[str]) -> NDArray[np.uint8]:
    return np.array([ROLE_CODE[word] for word in words], dtype=np.uint8)


def _check_groups(plan: str, fold: Fold, place: NDArray[np.int64], names: pd.Index) -> None:
    """Check that the rows of a group share a role; ``place`` is each row's position in ``names``, -1 for no group."""
    used = np.flatnonzero((place >= 0) & (fold.roles != ROLE_CODE["unused"]))
    role_of = np.zeros(len(names), dtype=np.uint8)
    role_of[place[used]] = fold.roles[used]
    torn = np.unique(place[used][fold.roles[used] != role_of[place[used]]])
    if len(torn):
        raise FoldError(f"fold {fold.number} of {plan!r} tears {len(torn)} groups apart, first {names[torn[0]]!r}: its rows "
                        "have more than one role, so a model would be tested on what it was trained on; fold by group")
