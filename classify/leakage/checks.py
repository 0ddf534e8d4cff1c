"""The leakage audit.

A table of checks, each a small function from the set-up of an evaluation to a finding.

To add a check, write ``def check(case: AuditCase) -> LeakageFinding`` in a module of this folder
and one row in :data:`CHECKS`; the grid, the command, its table, ``audit.json`` and the line under
every table take it from there. A check that a corpus can excuse by its design reads
``by_design.csv``; encoders that were trained on a corpus are rows of ``contamination.csv``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from classify.leakage import encoders, names, rows, too_good, vectors
from classify.leakage.case import AuditCase
from classify.leakage.finding import (
    CAUTION,
    CLEAN,
    LEAK,
    NOT_CHECKED,
    LeakageFinding,
)
from classify.leakage.missing_rows import missing
from embeddings_store.atomic import write_json
from embeddings_store.errors import LeakError, StoreError, UsageError, unknown_name
from embeddings_store.json_values import text
from embeddings_store.reading import reading

FORMAT, VERSION, FILE = "leakage-audit", 1, "audit.json"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table.

    Attributes:
        question: What it asks, for people.
        run: What answers; none where only ``audit-leakage`` itself can, because models are fitted.
        acceptable: Whether ``--accept`` may let a run go on, stamped: where an evaluation can be
            wanted all the same.
        blocks: Whether the grid refuses what this check calls a leak; not where the user asked for
            it by an option that is printed with every result.
    """

    question: str
    run: Callable[[AuditCase], LeakageFinding] | None
    acceptable: bool = False
    blocks: bool = True


CHECKS: Mapping[str, Check] = {
    "speakers": Check("is anybody heard in training and in test?", rows.speakers, acceptable=True),
    "groups": Check("are dialogues or videos torn apart?", rows.groups),
    "videos": Check("are rows of two roles cut from one recording?", rows.videos, acceptable=True),
    "names": Check(
        "is a name on both sides, spelled otherwise or where no check reads it?",
        names.names,
        acceptable=True,
    ),
    "transcripts": Check(
        "do test rows say what training rows say?", rows.transcripts, acceptable=True
    ),
    "media": Check("is the very same input on both sides?", rows.media, acceptable=True),
    "vectors": Check(
        "are vectors of test rows all but those of training rows?",
        vectors.vectors,
        acceptable=True,
    ),
    "seen": Check("was an encoder trained on test rows?", encoders.seen),
    "too-good": Check("are vectors too good to be unseen?", too_good.too_good),
    "contamination": Check(
        "is an encoder known to be trained on this corpus?", encoders.contamination, acceptable=True
    ),
    "choices": Check("was anything chosen on test rows?", encoders.choices, blocks=False),
    "missing": Check(
        "do test rows go unscored, and does that tell the label?", missing, acceptable=True
    ),
    "permuted": Check("were encoders trained on permuted labels?", encoders.permuted),
    "metadata": Check("does a metadata column explain the label?", encoders.metadata, blocks=False),
    "shuffled": Check("does everything fall to chance on permuted labels?", None),
}
ACCEPTABLE = tuple(name for name, check in CHECKS.items() if check.acceptable)


@dataclass(frozen=True, slots=True)
class Audit:
    """What all checks found for one evaluation.

    Attributes:
        about: What was audited: corpus, plan, digests, encoders; equal for equal evaluations.
        findings: Check to what it found, in the order of :data:`CHECKS`.
        accepted: Checks whose leak the user takes knowingly.
    """

    about: Mapping[str, object]
    findings: Mapping[str, LeakageFinding]
    accepted: Sequence[str] = field(default_factory=tuple)

    def having(self, verdict: str) -> list[str]:
        """Return the names of the checks with this verdict."""
        return [name for name, finding in self.findings.items() if finding.verdict == verdict]

    @property
    def verdict(self) -> str:
        """The worst verdict of all: ``leak``, ``caution`` or ``clean``.

        What was not checked does not count for it.
        """
        return next((v for v in (LEAK, CAUTION) if self.having(v)), CLEAN)

    @property
    def metadata(self) -> tuple[str, ...]:
        """The metadata columns that a model was given."""
        columns = self.about.get("metadata")
        return tuple(map(str, columns)) if isinstance(columns, list) else ()

    @property
    def refused(self) -> list[str]:
        """Checks whose leak a run may not have, unless it was accepted."""
        return [
            name for name in self.having(LEAK) if CHECKS[name].blocks and name not in self.accepted
        ]

    def keeping(self, folder: Path) -> Audit:
        """Return this audit with what an earlier and deeper one of the same evaluation found.

        Only ``audit-leakage`` reads media and fits models; the grid, which does neither, must not
        forget what it found.
        """
        try:
            there = Audit.read(folder)
        except StoreError:  # none, or a damaged one, which this audit is about to replace
            return self
        if dict(there.about) != dict(self.about):
            return self
        deeper = {
            name: found for name, found in there.findings.items() if self._is_shallower(name, found)
        }
        return replace(self, findings={**self.findings, **deeper})

    def line(self) -> str:
        """Say it all in one line, for the foot of a table.

        >>> clean, unchecked = (
        ...     LeakageFinding(CLEAN, "none"), LeakageFinding(NOT_CHECKED, "no media")
        ... )
        >>> Audit({}, {"speakers": clean, "media": unchecked}).line()
        'audit: clean (1 of 2 checks); not checked: media'
        """
        checked = len(self.findings) - len(self.having(NOT_CHECKED))
        parts = [
            f"audit: {'no leak' if self.verdict == CAUTION else self.verdict} ({checked} of "
            f"{len(self.findings)} checks)"
        ]
        if self.having(LEAK):
            parts.append(
                "LEAK: " + "; ".join(self._with_number(name) for name in self.having(LEAK))
            )
        if self.having(CAUTION):
            parts.append(
                "cautions: " + ", ".join(self._with_share(name) for name in self.having(CAUTION))
            )
        if self.having(NOT_CHECKED):
            parts.append(f"not checked: {', '.join(self.having(NOT_CHECKED))}")
        return "; ".join(parts)

    def _is_shallower(self, name: str, other: LeakageFinding) -> bool:
        """Say whether another finding rests on more than the one of this audit.

        On a run of models, or on files read.
        """
        own = self.findings[name]
        if name == "shuffled":
            return own.verdict == NOT_CHECKED
        read_files = bool(other.details.get("files_read")) and not own.details.get("files_read")
        return own.verdict != LEAK and read_files

    def _with_number(self, name: str) -> str:
        finding = self.findings[name]
        accepted = name in self.accepted and finding.verdict == LEAK
        return f"{name}{' (accepted by --accept)' if accepted else ''}: {finding.number}"

    def _with_share(self, name: str) -> str:
        counted = self.findings[name].of_test_rows
        return f"{name} ({counted})" if counted else name

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "verdict": self.verdict,
            "about": dict(self.about),
            "accepted": list(self.accepted),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "checks": {
                name: {"question": CHECKS[name].question, **found.to_dict()}
                for name, found in self.findings.items()
            },
        }

    def write(self, folder: Path) -> Path:
        """Write ``audit.json`` into a folder of results, whole or not at all."""
        write_json(folder / FILE, self.to_dict())
        return folder / FILE

    @classmethod
    def read(cls, folder: Path) -> Audit:
        """Read what :meth:`write` wrote.

        Raises:
            StoreError: The file is missing or damaged, or of a newer version.
        """
        path = folder / FILE
        advice = "delete it and run audit-leakage again"
        with reading(path, "", advice, StoreError, fault="is no audit that can be read"):
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT or int(data["version"]) > VERSION:
                raise StoreError(
                    f"{path}: is {data['format']} version {data['version']}, expected {FORMAT} up "
                    f"to {VERSION}"
                )
            findings = {
                name: LeakageFinding.from_dict(found)
                for name, found in data["checks"].items()
                if name in CHECKS
            }
            accepted = tuple(map(text, data["accepted"]))
            return cls(dict(data["about"]), findings, accepted)


def run_checks(case: AuditCase, accepted: Sequence[str] = ()) -> Audit:
    """Run every check that fits no model.

    Raises:
        UsageError: ``accepted`` names a check that does not exist or that nothing excuses.
    """
    for name in accepted:
        if name not in CHECKS:
            unknown_name("check", name, list(CHECKS))
        if name not in ACCEPTABLE:
            raise UsageError(
                f"--accept {name}: nobody can want this leak; what can be accepted: "
                f"{', '.join(ACCEPTABLE)}"
            )
    never = LeakageFinding(NOT_CHECKED, "run audit-leakage --shuffled")
    findings = {name: check.run(case) if check.run else never for name, check in CHECKS.items()}
    return Audit(about(case), findings, tuple(accepted))


def about(case: AuditCase) -> dict[str, object]:
    """Say which evaluation this is, in plain JSON types."""
    labels = case.labels or case.manifest.labels
    return {
        "corpus": case.manifest.name,
        "manifest_digest": case.manifest.digest,
        "plan": case.plan.name,
        "plan_digest": case.plan.digest,
        "label_set": labels.name if labels else "",
        "metadata": list(case.metadata),
        "encoders": sorted({f"{f.view}={f.ref.folder}" for f in case.files}),
        "files": sorted(str(f.attributes.get("digest", "")) for f in case.files),
    }


def refuse(audit: Audit) -> None:
    """Raise what the audit calls a leak and the user did not accept.

    Raises:
        LeakError: The first of these leaks, and the names of the others.
    """
    if not audit.refused:
        return
    name, *others = audit.refused
    finding = audit.findings[name]
    more = f". The audit finds {len(others)} more: {', '.join(others)}" if others else ""
    raise LeakError(
        f"refused: {name}: {finding.number}. {finding.means[:1].upper()}{finding.means[1:]}. What "
        f"to do: {finding.advice}{more}; audit-leakage shows everything"
    )
