"""Fold plans: which row trains, validates and tests in which fold, disjoint by group and named.

A plan is named by what makes it, so that two results say whether they may be compared:

==========================  =======================================================================
name                        folds
==========================  =======================================================================
``split``                   one: the corpus' own ``split`` column (train, valid or dev, test)
``leave-one-session-out``   one per session; likewise ``speaker`` and ``group``
``speaker-kfold:6``         six blocks of neighbouring speakers; likewise ``session`` and ``group``
==========================  =======================================================================

Where groups rotate, ``valid="next"`` lets the next block validate, cyclically, and ``valid="none"`` trains on it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from embeddings_store.atomic import replacing
from embeddings_store.errors import FoldError, StoreError, unknown_name
from embeddings_store.manifest import Manifest

ROLES = ("unused", "train", "valid", "test")
ROLE_CODE = {role: code for code, role in enumerate(ROLES)}
SPLIT_ROLES = {"train": "train", "training": "train", "trn": "train", "valid": "valid", "validation": "valid",
               "val": "valid", "dev": "valid", "development": "valid", "test": "test", "tst": "test", "": "unused"}
VALID_RULES = ("next", "none")
ROTATING = ("session", "speaker", "group")
PLAN_NAMES = ("split", *(f"leave-one-{c}-out" for c in ROTATING), *(f"{c}-kfold:K" for c in ROTATING))


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
        for fold in self.folds:
            if fold.roles.shape != (len(self.ids),):
                raise FoldError(f"fold {fold.number} of {self.name!r} has {len(fold.roles)} roles for {len(self.ids)} rows")
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
        hasher = hashlib.sha256("\x00".join(self.ids.tolist()).encode())
        for fold in self.folds:
            hasher.update(bytes([fold.number]) + fold.roles.tobytes())
        return hasher.hexdigest()[:12]

    def check(self, manifest: Manifest) -> None:
        """Check the plan against its manifest: same rows, groups in one role, every class in train.

        Raises:
            FoldError: Which fold breaks which promise, and where.
        """
        if not np.array_equal(self.ids, manifest.ids):
            raise FoldError(f"plan {self.name!r} was made for {len(self.ids)} other rows than the {len(manifest)} of corpus "
                            f"{manifest.name!r}; make it again for this manifest")
        codes, groups = manifest.codes(), manifest.table["group"]
        for fold in self.folds:
            _check_groups(self.name, fold, groups)
            if manifest.labels is None:
                continue
            present = set(codes[fold.mask("train")].tolist())
            absent = [name for code, name in enumerate(manifest.labels.classes) if code not in present]
            if absent:
                raise FoldError(f"fold {fold.number} ({fold.name}) of {self.name!r} has no training row of class "
                                f"{absent[0]!r} ({len(absent)} of {len(manifest.labels.classes)} classes absent); "
                                "use fewer folds, another grouping, or a label set without it")

    def save(self, path: Path) -> None:
        """Write the plan as Parquet: ``id`` and one column of roles per fold, whole or not at all."""
        table = pd.DataFrame({"id": self.ids})
        for fold in self.folds:
            table[f"fold-{fold.number}"] = pd.Categorical.from_codes(fold.roles.astype(np.int64), categories=list(ROLES))
        table.attrs = {"plan": self.name, "valid": self.valid, "names": [fold.name for fold in self.folds]}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            table.to_parquet(temporary, index=False)

    @classmethod
    def load(cls, path: Path) -> FoldPlan:
        """Read a plan written by :meth:`save`.

        Raises:
            StoreError: The file is not a fold plan.
        """
        try:
            table = pd.read_parquet(path)
            names = table.attrs["names"]
            columns = [c for c in table.columns if re.fullmatch(r"fold-\d+", str(c))]
            folds = [Fold(int(str(c)[5:]), str(name), table[c].astype(str).map(ROLE_CODE).to_numpy(dtype=np.uint8))
                     for c, name in zip(columns, names, strict=True)]
            return cls(str(table.attrs["plan"]), str(table.attrs["valid"]), table["id"].to_numpy(dtype=str), tuple(folds))
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{path}: is not a fold plan of this project ({error})") from error


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
        plan = FoldPlan(name, "split", manifest.ids, (_split_fold(manifest),))
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
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text) if part]


def _split_fold(manifest: Manifest) -> Fold:
    splits = manifest.table["split"].str.lower()
    unknown = sorted(set(splits) - set(SPLIT_ROLES))
    if unknown:
        raise FoldError(f"corpus {manifest.name!r} has the split {unknown[0]!r}; known: {', '.join(filter(None, SPLIT_ROLES))}")
    return Fold(1, "split", splits.map(SPLIT_ROLES).map(ROLE_CODE).to_numpy(dtype=np.uint8))


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


def _check_groups(plan: str, fold: Fold, groups: pd.Series) -> None:
    named = (groups != "").to_numpy() & (fold.roles != ROLE_CODE["unused"])
    if not named.any():
        return
    roles = pd.Series(fold.roles[named]).groupby(groups[named].to_numpy()).nunique()
    torn = roles[roles > 1]
    if len(torn):
        raise FoldError(f"fold {fold.number} of {plan!r} tears {len(torn)} groups apart, first {torn.index[0]!r}: its rows "
                        "have more than one role, so a model would be tested on what it was trained on; fold by group")
