"""A page that opens anywhere: one file that asks for no address and runs no script but its own.

A page is made of ``NAME.html.j2``, ``NAME.css`` and ``NAME.js`` in one folder. The template escapes
whatever it is given; its content policy names the digest of the script, so that no other can run.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from embeddings_store.atomic import replacing
from embeddings_store.reading import reading, visible

THEME = Path(__file__).with_name("theme.js")  # light and dark, for the button of every page


def render_page(folder: Path, name: str, **values: object) -> str:
    """Return a page's HTML; the template also gets ``style``, ``script`` and ``script_hash``.

    Args:
        folder: Where the template lies, with its style and its script.
        name: What the three are called.
        **values: What the template shows.

    Raises:
        ModuleNotFoundError: The extra ``report`` is not installed.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with reading(folder, "a file of the package"):
        style = (folder / f"{name}.css").read_text(encoding="utf-8")
        own = (folder / f"{name}.js").read_text(encoding="utf-8")
        script = f"{THEME.read_text(encoding='utf-8')}\n{own}"
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return environment.get_template(f"{name}.html.j2").render(
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - likewise
        script_hash=base64.b64encode(digest).decode(),
        **values,
    )


def write_html(path: Path, html: str) -> None:
    """Write a page, whole or not at all; control characters in it are shown as their numbers.

    Args:
        path: Where to.
        html: What :func:`render_page` returned.

    Raises:
        StoreFullError, StoreAccessError: It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(
            visible(html), encoding="utf-8", errors="backslashreplace", newline="\n"
        )
