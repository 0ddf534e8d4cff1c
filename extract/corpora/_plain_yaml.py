"""YAML from files of strangers: mappings, lists and plain values, nothing that constructs or grows.

PyYAML's usual loaders run what a tag names (``!!python/object/apply:os.system``). Here a document
is looked through, event by event, before any of its values is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from embeddings_store.errors import ManifestError
from embeddings_store.reading import reading

# Headers that people write have four levels; the loader recurses, and the interpreter ends at 1000.
MOST_LEVELS = 100
# Nodes that aliases repeat, counted as if each alias were written out. A bomb of nine lines stands
# for billions; headers repeat a list of labels here and there.
MOST_REPEATED = 100_000


def read_plain_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML file that holds one mapping without tags.

    Args:
        path: The file.
        what: What it should be, for the message where it cannot be parsed.

    Raises:
        ManifestError: It cannot be read or parsed, has a tag, nests too deeply, repeats too much by
            aliases, or is no mapping.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    advice = "expected a mapping of plain values in UTF-8: correct or fetch it again"
    fault = f"is no {what}, as it is not YAML that can be read"
    # A scalar such as 2024-13-01 raises whatever its Python type does.
    with reading(path, "", advice, fault=fault):
        text = path.read_text(encoding="utf-8")
        _check_events(path, yaml.parse(text, Loader=loader))
        values = yaml.load(text, Loader=loader)  # noqa: S506  # a safe loader, in C where it is built
    if not isinstance(values, dict):
        raise ManifestError(
            f"{path}: holds a {type(values).__name__}, expected a mapping of names to values; "
            "fetch it again"
        )
    return values


def _check_events(path: Path, events: Iterable[Any]) -> None:
    """Refuse a document that could run code, recurse without end, or grow out of proportion."""
    import yaml

    size_of_anchor: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    nodes = repeated = 0
    for event in events:
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise ManifestError(
                f"{path}: line {line} has the tag {tag!r}; tags can run code and are never "
                "followed, expected plain values: remove the tag if you trust the file's maker"
            )
        if isinstance(event, yaml.AliasEvent):
            size = size_of_anchor.get(event.anchor)
            if size is None:
                raise ManifestError(
                    f"{path}: line {line} repeats {event.anchor!r}, which is not complete before "
                    "it; expected plain values: correct or fetch it again"
                )
            nodes += size
            repeated += size
            if repeated > MOST_REPEATED:
                raise ManifestError(
                    f"{path}: line {line}: its aliases stand for more than {MOST_REPEATED} values; "
                    "expected plain values: write them out or fetch it again"
                )
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                size_of_anchor[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, nodes))
            nodes += 1
            if len(opened) > MOST_LEVELS:
                raise ManifestError(
                    f"{path}: line {line} nests values {len(opened)} levels deep, expected at most "
                    f"{MOST_LEVELS}; correct or fetch it again"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                size_of_anchor[anchor] = nodes - before
