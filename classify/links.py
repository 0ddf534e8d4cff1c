"""Links from a page to files beside it, which no name of a file can turn into anything else."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def relative_link(folder: Path, path: Path) -> str:
    """Return a link to a file, relative and quoted: no path can be a script or leave the disk.

    Args:
        folder: The folder that the page lies in.
        path: The file.

    >>> relative_link(Path("runs/r"), Path("corpus/wav/a b.wav"))
    '../../corpus/wav/a%20b.wav'
    >>> relative_link(Path("r"), Path("r/javascript:alert(1)"))
    './javascript%3Aalert%281%29'
    """
    relative = Path(os.path.relpath(path, folder)).as_posix()
    # a leading dot keeps a browser from reading "javascript:" as a scheme
    here = "" if relative.startswith("../") else "./"
    return here + quote(relative.encode("utf-8", "surrogateescape"))
