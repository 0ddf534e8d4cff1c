"""Looks at a media file before any library does: is it there, is it media at all, is it whole."""

from __future__ import annotations

import stat
from pathlib import Path

from embeddings_store.errors import MediaError
from extract.media.lfs_pointer import is_lfs_pointer
from extract.media.opening import reading_media

_HEAD_BYTES = 4096
# No container of sound or video begins like one of these.
_LISTS = (b"#ext", b"ffconcat", b"<", b"v=0", b"[playlist]", b"[reference]", b"rtsptext")


def check_media_file(path: Path) -> None:
    """Refuse what no decoder should be given.

    Decoders name the fault badly, or play what is left of a cut file.

    Raises:
        MediaError: If the file is missing, cannot be opened, is empty, a folder, a Git-LFS pointer,
            a playlist, or a cut AVI or FLV.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise MediaError(
            f"{path} does not exist; check the manifest's root and whether the media were unpacked"
        ) from None
    except OSError as error:
        raise MediaError(
            f"{path} cannot be opened: {error.strerror}; check the path and its permissions"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise MediaError(f"{path} is not a regular file; give the path of one sound or video file")
    if found.st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); fetch it again")
    if is_lfs_pointer(path):
        raise MediaError(
            f"{path} is a Git-LFS pointer, not media; run 'git lfs pull' in its repository"
        )
    if lists_other_files(path):
        raise MediaError(
            f"{path} is a playlist or script that names other files, not media; give the path of "
            "one sound or video file"
        )
    promised, torn = riff_size(path), ends_within_a_tag(path, found.st_size)
    if torn:
        raise MediaError(
            f"{path} is cut short: it ends within a tag of its FLV stream; fetch it again"
        )
    if promised is not None and found.st_size < promised:
        raise MediaError(
            f"{path} is cut short: its header promises {promised} bytes, {found.st_size} are "
            "there; fetch it again"
        )


def lists_other_files(path: Path) -> bool:
    """Say whether a file is a list that FFmpeg would follow: HLS, ffconcat, DASH, SDP and the like.

    FFmpeg goes by what a file holds, whatever its name ends in.
    """
    with reading_media(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(_LISTS)


def riff_size(path: Path) -> int | None:
    """Return the bytes that an AVI's first header promises.

    None for other files, and where the writer did not know.
    """
    with reading_media(path), path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"AVI ":
        return None
    promised = int.from_bytes(head[4:8], "little") + 8
    return promised if promised < 0xFFFF_0000 else None


def ends_within_a_tag(path: Path, size: int) -> bool:
    """Say whether a file is an FLV whose end is missing.

    Its header promises no size, but each tag is followed by its own.
    """
    with reading_media(path), path.open("rb") as file:
        if file.read(3) != b"FLV":
            return False
        file.seek(max(0, size - 4))
        length = int.from_bytes(file.read(4), "big")
        if not 11 < length < size - 4:
            return True
        file.seek(size - 4 - length)
        head = file.read(4)
    # Sound, pictures and scripts are the tags there are; each has 11 bytes of header.
    is_tag = head[0] & 0x1F in (8, 9, 18)
    return not is_tag or int.from_bytes(head[1:4], "big") != length - 11
