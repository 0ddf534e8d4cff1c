"""Fold plans as data.

Which row trains, validates and tests in which fold, checked, saved, and digested.

How a plan is made from a name is in :mod:`embeddings_store.folds.rules`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings_store.atomic import make_folder, replacing
from embeddings_store.corpus.manifest import Manifest
from embeddings_store.errors import FoldError, StoreError, StoreNotFoundError
from embeddings_store.folds.apart import apart_by, groups_are_speakers
from embeddings_store.reading import reading

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "emotion-fold-plan"
VERSION = 1
ABOUT_DIGEST = "about_digest"
DAMAGED = "is damaged or not a fold plan of this project"
MAKE_AGAIN = "remove it, it is made again from the manifest"
ROLES = ("unused", "train", "valid", "test")
ROLE_CODE = {role: code for code, role in enumerate(ROLES)}
# Two roles that may share the rows of a group, where a plan declares it; nothing ever allows
# training and test to.
SHAREABLE = ("train+valid", "valid+test")


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


@dataclass(frozen=True)
class FoldPlan:
    """The folds of one protocol over one manifest.

    Attributes:
        name: What makes it, for example ``"speaker-kfold:6"``.
        valid: The rule that names the validation rows; it ends in ``-shared`` where they share
            speakers or groups with test.
        ids: Manifest ids in row order (N,).
        folds: One or more folds over these rows.
        shares: Pairs of roles that tear groups apart on purpose, see :data:`SHAREABLE`.
    """

    name: str
    valid: str
    ids: NDArray[np.str_]
    folds: tuple[Fold, ...]
    shares: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that every fold covers the rows and has rows to train and to test on."""
        if not self.folds:
            raise FoldError(f"plan {self.name!r} has no folds")
        if len({fold.number for fold in self.folds}) != len(self.folds):
            raise FoldError(f"plan {self.name!r} has two folds of the same number")
        if not set(self.shares) <= set(SHAREABLE):
            raise FoldError(
                f"plan {self.name!r} declares that {self.shares} share groups; only "
                f"{', '.join(SHAREABLE)} may"
            )
        for fold in self.folds:
            if fold.roles.shape != (len(self.ids),):
                raise FoldError(
                    f"fold {fold.number} of {self.name!r} has {len(fold.roles)} roles for "
                    f"{len(self.ids)} rows"
                )
            if not np.isin(fold.roles, range(len(ROLES))).all():
                raise FoldError(
                    f"fold {fold.number} of {self.name!r} holds the role {fold.roles.max()}; roles "
                    f"are 0 to {len(ROLES) - 1} ({', '.join(ROLES)})"
                )
            for role in ("train", "test"):
                if not fold.mask(role).any():
                    raise FoldError(
                        f"fold {fold.number} ({fold.name}) of {self.name!r} has no {role} rows; "
                        "choose a plan with more groups, or fill the split column"
                    )

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    def fold(self, number: int) -> Fold:
        """Return fold ``number``, counted from 1.

        Raises:
            FoldError: There is no such fold.
        """
        for fold in self.folds:
            if fold.number == number:
                return fold
        raise FoldError(
            f"plan {self.name!r} has folds {', '.join(str(f.number) for f in self.folds)}, not "
            f"{number}"
        )

    @property
    def has_valid(self) -> bool:
        """Say whether every fold has validation rows."""
        return all(fold.mask("valid").any() for fold in self.folds)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits over ids and roles; the name does not count."""
        return _digest(self.ids, [(fold.number, fold.roles) for fold in self.folds])

    def split_digest(self, labelled: NDArray[np.bool_], roles: tuple[str, ...] = ROLES[1:]) -> str:
        """Twelve hex digits over labelled rows (N,) that have one of ``roles`` in some fold.

        Neither the order of the manifest nor rows that nothing is computed from count, so two
        stores of one corpus agree.
        """
        codes = [ROLE_CODE[role] for role in roles]
        counted = [
            np.where(labelled & np.isin(fold.roles, codes), fold.roles, 0).astype(np.uint8)
            for fold in self.folds
        ]
        used = np.flatnonzero(np.logical_or.reduce([column > 0 for column in counted]))
        order = used[np.argsort(self.ids[used])]
        return _digest(
            self.ids[order],
            [
                (fold.number, column[order])
                for fold, column in zip(self.folds, counted, strict=True)
            ],
        )

    def check(self, manifest: Manifest, only: int | None = None) -> None:
        """Check the plan against its manifest: same rows, groups in one role, every class in train.

        Args:
            manifest: The corpus.
            only: Number of the one fold to check; none checks all.

        Raises:
            FoldError: Which fold breaks which promise, and where.
        """
        import pandas as pd

        if not np.array_equal(self.ids, manifest.ids):
            raise FoldError(
                f"plan {self.name!r} was made for {len(self.ids)} other rows than the "
                f"{len(manifest)} of corpus {manifest.name!r}; make it again for this manifest"
            )
        codes, groups = manifest.codes(), manifest.named_cells("group")
        if apart_by(self.name) and groups_are_speakers(manifest):
            groups = groups.mask(groups != "", "")  # The plan's name says what it keeps apart.
        place, names = pd.factorize(groups)
        place = np.where(groups == "", -1, place)
        for fold in self.folds if only is None else (self.fold(only),):
            self._check_groups(fold, place, names)
            if manifest.labels is None:
                continue
            present = np.bincount(
                codes[fold.mask("train") & (codes >= 0)], minlength=len(manifest.labels.classes)
            )
            absent = [
                name
                for name, count in zip(manifest.labels.classes, present, strict=True)
                if not count
            ]
            if absent:
                raise FoldError(
                    f"fold {fold.number} ({fold.name}) of {self.name!r} has no training row of "
                    f"class {absent[0]!r} ({len(absent)} of {len(manifest.labels.classes)} classes "
                    "absent); use fewer folds, another grouping, or a label set without it"
                )

    def _check_groups(self, fold: Fold, place: NDArray[np.int64], names: pd.Index) -> None:
        """Check that the rows of a group share a role.

        ``place`` is each row's position in ``names``, -1 for no group.
        """
        bits = _roles_of(fold, place, len(names))
        torn = np.flatnonzero(
            ((bits & (bits - 1)) != 0) & ~np.isin(bits, [_both(pair) for pair in self.shares])
        )
        if len(torn):
            first = str(names[torn[0]])
            raise FoldError(
                f"fold {fold.number} of {self.name!r} tears {len(torn)} groups apart, first "
                f"{first!r}: its rows have more than one role, so a model would be tested "
                "on what it was trained on; fold by group, or by what hangs together through "
                "speakers and groups (--folds connected-kfold:5)"
            )

    def save(self, path: Path) -> None:
        """Write the plan as Parquet.

        ``id`` and one column of roles per fold, whole or not at all.
        """
        import pyarrow as pa
        from pyarrow import parquet

        columns = {"id": pa.array(self.ids.tolist(), pa.string())}
        columns |= {
            f"fold-{f.number}": pa.array(np.array(ROLES, dtype=object)[f.roles], pa.string())
            for f in self.folds
        }
        about = {
            "format": FORMAT,
            "version": str(VERSION),
            "plan": self.name,
            "valid": self.valid,
            "digest": self.digest,
            "names": json.dumps([fold.name for fold in self.folds], ensure_ascii=False),
            "shares": " ".join(self.shares),
        }
        about[ABOUT_DIGEST] = _about_digest(about)
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
        from pyarrow import parquet

        if not path.is_file():
            raise StoreNotFoundError(f"{path}: no such fold plan")
        try:
            with reading(path, "", MAKE_AGAIN, StoreError, fault=DAMAGED):
                table = parquet.read_table(path)
                about = {
                    key.decode(): value.decode()
                    for key, value in (table.schema.metadata or {}).items()
                }
                if about.get("format") != FORMAT:
                    raise StoreError(
                        f"{path}: is a table, but not a fold plan of this project (no metadata "
                        f"format={FORMAT!r})"
                    )
                if int(about["version"]) > VERSION:
                    raise StoreError(
                        f"{path}: has format version {about['version']}, this program reads up to "
                        f"{VERSION}; update the program"
                    )
                columns = [name for name in table.column_names if re.fullmatch(r"fold-\d+", name)]
                folds = [
                    Fold(int(column[5:]), str(name), _role_codes(table[column].to_pylist()))
                    for column, name in zip(columns, json.loads(about["names"]), strict=True)
                ]
                plan = cls(
                    about["plan"],
                    about["valid"],
                    _ids(table["id"].to_pylist()),
                    tuple(folds),
                    tuple(about.get("shares", "").split()),
                )
        except FoldError as error:
            raise StoreError(f"{path}: {DAMAGED} ({error}); {MAKE_AGAIN}") from error
        if plan.digest != about.get("digest"):
            raise StoreError(
                f"{path}: the roles (digest {plan.digest}) are not those that were written "
                f"({about.get('digest')}); {MAKE_AGAIN}"
            )
        if ABOUT_DIGEST in about and about[ABOUT_DIGEST] != _about_digest(about):
            raise StoreError(
                f"{path}: its name, validation rule, folds' names or shared roles are not those "
                f"that were written; {MAKE_AGAIN}"
            )
        return plan


def _ids(cells: Sequence[object]) -> NDArray[np.str_]:
    if not all(isinstance(cell, str) for cell in cells):
        raise FoldError("an id is no text")
    return np.array(cells, dtype=str)


def shared(plan: FoldPlan, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Return which pairs of roles share speakers or groups in some fold.

    For example ``{"valid+test": ("speaker",)}``.

    Rows without a speaker or group share nothing. Sharing between training and test is listed too:
    the official splits of series and of synthetic voices do it, and results have to say so.
    """
    import pandas as pd

    found: dict[str, tuple[str, ...]] = {}
    for column in ("speaker", "group"):
        values = manifest.named_cells(column)
        place, names = pd.factorize(values)
        place = np.where(values == "", -1, place)
        mixed = [_roles_of(fold, place, len(names)) for fold in plan]
        for pair in (*SHAREABLE, "train+test"):
            if any((roles & _both(pair) == _both(pair)).any() for roles in mixed):
                found[pair] = (*found.get(pair, ()), column)
    return found


def _roles_of(fold: Fold, place: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    """Return for each of ``count`` values the roles of its rows, as bits.

    Rows at -1 have no value.
    """
    bits = np.zeros(count, dtype=np.uint8)
    used = np.flatnonzero((place >= 0) & (fold.roles != ROLE_CODE["unused"]))
    for role in ROLES[1:]:
        bits[place[used][fold.roles[used] == ROLE_CODE[role]]] |= 1 << ROLE_CODE[role]
    return bits


def _both(pair: str) -> int:
    """The bits of ``"valid+test"`` and its like."""
    return sum(1 << ROLE_CODE[role] for role in pair.split("+"))


def _digest(ids: NDArray[np.str_], folds: list[tuple[int, NDArray[np.uint8]]]) -> str:
    hasher = hashlib.sha256(f"{len(ids)} rows\x00".encode())
    hasher.update("\x00".join(ids.tolist()).encode())
    for number, roles in folds:
        hasher.update(f"\x00fold {number}\x00".encode() + roles.tobytes())
    return hasher.hexdigest()[:12]


def _about_digest(about: Mapping[str, str]) -> str:
    """Return twelve hex digits over what a file says of its plan besides the roles."""
    content = {key: about.get(key, "") for key in ("plan", "valid", "names", "shares")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _role_codes(words: list[str]) -> NDArray[np.uint8]:
    return np.array([ROLE_CODE[word] for word in words], dtype=np.uint8)
