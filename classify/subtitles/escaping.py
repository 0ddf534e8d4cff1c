r"""Plain text as each format writes it: no character of a transcript or a name becomes markup.

ASS is written as mpv does: ``\{`` is a brace and a word joiner (U+2060, which takes no room) parts
a backslash from what follows. SRT has no way to escape, so the joiner stands within what a player
would take for a tag or a time. WebVTT has entities.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

JOINER = "\u2060"
_TIME = re.compile(r"\d:\d\d?[:.,]\d")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)([:.,])(?=\d)")


def ass_text(line: str) -> str:
    r"""Return a line for the text of an ASS event.

    >>> ass_text("{\\b1}") == "\\{\\" + JOINER + "b1}"
    True
    """
    return line.replace("\\", "\\" + JOINER).replace("{", "\\{")


def srt_text(line: str) -> str:
    r"""Return a line for SRT.

    >>> srt_text("<i> --> 1") == f"<{JOINER}i> --{JOINER}> 1"
    True
    """
    for sign in ("<", "{", "\\"):
        line = line.replace(sign, sign + JOINER)
    return _parted_times(line.replace("-->", f"--{JOINER}>"))


def vtt_text(line: str) -> str:
    """Return a line for WebVTT.

    >>> vtt_text("a < b & c")
    'a &lt; b &amp; c'
    """
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _parted_times(line.replace("\\", "\\" + JOINER))


def not_a_number(line: str) -> str:
    """Return a line that no reader takes for the number of the next cue."""
    return line + JOINER if line.strip().isdecimal() else line


def without_joiners(text: str) -> str:
    """Return a text without word joiners, which no reader sees."""
    return text.replace(JOINER, "")


def plain_ass(text: str) -> str:
    r"""Return what is read of the text of an ASS event: the inverse of :func:`ass_text`, and more.

    Override tags go, ``\N`` is a line feed and ``\h`` a space.

    >>> plain_ass(r"{\i1}one\Ntwo{\i0} \{three}")
    'one\ntwo {three}'
    """
    found, at = [], 0
    while at < len(text):
        pair, close = text[at : at + 2], text.find("}", at)
        if pair in _ASS_PAIRS:
            found.append(_ASS_PAIRS[pair])
            at += 2
        elif text[at] == "{" and close >= 0:
            at = close + 1
        else:
            found.append(text[at])
            at += 1
    return without_joiners("".join(found))


_ASS_PAIRS = {r"\N": "\n", r"\n": "\n", r"\h": " ", r"\{": "{", r"\}": "}"}


def ass_name(name: str, taken: Container[str] = ()) -> str:
    r"""Return a name that an ASS file takes for a style, in a field or within ``{\r...}``.

    Args:
        name: Any text.
        taken: Names that others have already.

    >>> ass_name("ang,ry{}"), ass_name("angry", {"angry"}), ass_name("슬픔")
    ('ang_ry__', 'angry 2', '슬픔')
    """
    return _unique("".join(c if c.isalnum() or c in " -_" else "_" for c in name), taken, " ")


def vtt_class(name: str, taken: Container[str] = ()) -> str:
    """Return a name that WebVTT and CSS take for a class: ASCII, beginning with a letter.

    Args:
        name: Any text.
        taken: Names that others have already.

    >>> vtt_class("Angry!"), vtt_class("7")
    ('angry_', 'e7')
    """
    plain = unicodedata.normalize("NFKD", name).lower()
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in plain)
    return _unique(kept if kept[:1].isalpha() else f"e{kept}", taken, "-")


def _unique(name: str, taken: Container[str], between: str) -> str:
    name = name.strip() or "_"
    number, found = 2, name
    while found in taken:
        found, number = f"{name}{between}{number}", number + 1
    return found


def _parted_times(line: str) -> str:
    """Put a joiner into what looks like the time of a cue."""
    return _BETWEEN_DIGITS.sub(rf"\1{JOINER}", line) if _TIME.search(line) else line
