"""Reads subtitle files in any encoding, with pysubs2 and charset-normalizer."""

from __future__ import annotations

import codecs
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from embeddings_store.errors import ManifestError, MissingDependencyError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    from pysubs2 import SSAFile

ADVICE = "save it again as SRT, WebVTT or ASS in UTF-8"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def load_pysubs2() -> ModuleType:
    """Return the library.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import pysubs2
    except ImportError as error:
        raise MissingDependencyError(
            "subtitles need the package pysubs2, which is not installed; install the extra: "
            "pip install 'emotion-fusion[subtitles]'"
        ) from error
    return pysubs2


def read_any_encoding(path: Path, encoding: str = "") -> tuple[str, str]:
    """Return the text of a subtitle file and its encoding.

    Args:
        path: The file.
        encoding: As stated by the user; empty takes a byte order mark, UTF-8 if it is, else what
            charset-normalizer finds.

    Raises:
        ManifestError: It cannot be read, or in no encoding.
        MissingDependencyError: An encoding has to be found, and charset-normalizer is missing.
    """
    with reading(path, "subtitles", ADVICE):
        data = path.read_bytes()
        if encoding:
            return _lines(data.decode(encoding)), encoding
        for mark, name in MARKS:
            if data.startswith(mark):
                return _lines(data.decode(name)), name
        try:
            return _lines(data.decode("utf-8")), "utf-8"
        except UnicodeDecodeError:
            return _found(path, data)


def _found(path: Path, data: bytes) -> tuple[str, str]:
    try:
        from charset_normalizer import from_bytes
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: is not UTF-8; name its encoding with --encoding, or install the extra that "
            "finds it: pip install 'emotion-fusion[subtitles]'"
        ) from error
    best = from_bytes(data).best()
    if best is None:
        raise ManifestError(f"{path}: is in no encoding that is known; name it with --encoding")
    return _lines(str(best)), best.encoding


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_ass(path: Path) -> SSAFile:
    """Read an ASS file.

    Raises:
        ManifestError: It is none.
    """
    text, _ = read_any_encoding(path)
    pysubs2 = load_pysubs2()
    with reading(path, "ASS", ADVICE):
        file: SSAFile = pysubs2.SSAFile.from_string(text, "ass")
    return file
