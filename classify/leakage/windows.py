"""Do names look like those of windows, cut from recordings that nothing names?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classify.leakage.case import RECORDINGS, AuditCase, Codes, Overlap, factorized, overlap
from classify.leakage.finding import Evidence, LeakageFinding, per_cent, some

if TYPE_CHECKING:
    import pandas as pd

# How people number the windows of one recording. What matches is the number, the rest names the
# recording.
COUNTERS = (
    re.compile(r"[-_./: ]?[A-Za-z]*\d+$"),  # vid12_3, vid12_w3
    re.compile(r"(?<=\d)[-_ ]?[a-z]$", re.IGNORECASE),  # vid12a
    re.compile(r"[-_ ]?\(?\d+[-_ ]?of[-_ ]?\d+\)?$", re.IGNORECASE),  # vid12_3_of_6
    re.compile(r"[-_ ]?[\[(]\d+[\])]$"),  # vid12[3]
    re.compile(r"(?:[-_ ]\d+(?:[.,]\d+)?s?){2}$"),  # vid12_0.0_2.5
    re.compile(r"^(?:w|win|window|seg|segment|chunk|part|clip)[-_ ]?\d+[-_ ]", re.IGNORECASE),
)
ENDING = re.compile(r"\.[A-Za-z]\w{1,4}$")  # of a file's name


def windows(case: AuditCase) -> LeakageFinding | None:
    """Return a caution where test rows may be windows of what also trains, none elsewhere.

    Ids and names of files are compared without what may number windows. Nobody can know what it
    counts: names such as ``happy_012`` have few beginnings, those of windows have many; and where
    it tells the speaker it counts people. Rows that name their group are left to its check.
    """
    worst: Overlap | None = None
    shown: tuple[str, NDArray[np.str_]] | None = None
    for column, names in _names(case):
        for counter in COUNTERS:
            keys = _recordings(case, names, counter)
            found = overlap(case, keys)
            many = len(found.keys) > 2 * (case.codes.max() + 1)
            if many and (worst is None or found.rows > worst.rows):
                worst, shown = found, (column, names)
    if worst is None or shown is None:
        return None
    column, names = shown
    share = worst.rows / case.n_test
    examples = some([f"{names[a]} and {names[b]}" for a, b in worst.examples])
    return Evidence(
        f"by the column {column}, {per_cent(share)} of the test rows may be of a recording that "
        "also trains or validates",
        examples,
        share,
    ).caution(
        "if these are windows of recordings the figure is worthless; fill the column 'group' to "
        "know"
    )


def _names(case: AuditCase) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Yield ids, and the names of files without their endings, each with their column."""
    import pandas as pd

    yield "id", case.manifest.ids
    for column in RECORDINGS:
        if column in case.manifest.table and case.manifest.given(column).any():
            paths = pd.Series(case.manifest.column(column), dtype=object)
            stems = paths.str.replace(ENDING, "", regex=True)
            yield column, np.asarray(stems.to_numpy(), dtype=str)


def _recordings(case: AuditCase, names: NDArray[np.str_], counter: re.Pattern[str]) -> Codes:
    """Return codes (N,) of names without their counter, -1 where a row has none, or has a group."""
    import pandas as pd

    cells = pd.Series(names, dtype=object)
    rest = cells.str.replace(counter, "", regex=True)
    counted = (rest != cells) & (rest != "") & (case.groups < 0)
    if not counted.any() or _tells_the_speaker(case, cells, counter, counted.to_numpy()):
        return np.full(len(names), -1, dtype=np.int64)
    return factorized(np.where(counted, rest, ""))


def _tells_the_speaker(
    case: AuditCase, cells: pd.Series, counter: re.Pattern[str], counted: NDArray[np.bool_]
) -> bool:
    """Say whether what is taken off a name is of one speaker only, wherever it occurs."""
    import pandas as pd

    speakers = case.keys("speaker")
    if not (speakers[counted] >= 0).all():
        return False
    matches = [counter.search(cell) for cell in cells[counted]]
    counts = [match.group() if match else "" for match in matches]
    table = pd.DataFrame({"count": counts, "speaker": speakers[counted]})
    several = table["count"].nunique() < len(table)
    return several and bool((table.groupby("count")["speaker"].nunique() == 1).all())
