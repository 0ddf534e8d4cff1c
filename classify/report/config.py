"""What a report is made from.

Light to import, so that the command can explain itself without its extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embeddings_store.errors import MissingDependencyError

MAP_ROLES = ("test", "valid", "train")
EXTRA = {"matplotlib", "jinja2", "markupsafe"}


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Everything that a report depends on; the one place of its defaults.

    Attributes:
        results: The folder that the grid wrote.
        store: The store that it was made from; none takes ``usual_store`` if that holds the corpus.
        media_root: What the manifest's paths are relative to; without it there are no links to
            clips.
        selection: A store of the trainings by which encoders were chosen, for Tables 1 to 3.
        against: Another results folder to stand beside this one.
        fold: Whose encoders the maps show; 0 takes the first.
        map_rows: ``test``, ``valid`` or ``train``.
        tsne: Also draw the maps by t-SNE.
        usual_store: Where a store usually lies.
    """

    results: Path
    store: Path | None = None
    media_root: Path | None = None
    selection: Path | None = None
    against: Path | None = None
    fold: int = 0
    map_rows: str = "test"
    tsne: bool = False
    usual_store: Path = Path("embeddings")


@contextmanager
def with_extra() -> Iterator[None]:
    """Say which extra brings a package that is not installed.

    Raises:
        MissingDependencyError: One of :data:`EXTRA` is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        raise MissingDependencyError(
            f"a report needs the package {error.name}, which is not installed; install the extra: "
            "pip install 'emotion-fusion[report]'"
        ) from error
