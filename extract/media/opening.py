"""Opens media with FFmpeg through PyAV, which may follow nothing that the file names."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings_store.errors import MediaError
from embeddings_store.reading import reading

if TYPE_CHECKING:
    from av.container import InputContainer

# The containers of sound and video that hold everything themselves. Playlists (hls, concat, dash),
# sequences of pictures (image2) and scripts are left out: they make FFmpeg open other files.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,"
    "mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,w64,wav,webm,wtv,wv"
)


def reading_media(
    path: Path, kind: str = "media that FFmpeg reads"
) -> AbstractContextManager[None]:
    """Turn whatever a decoder raises over a file into one :class:`MediaError`.

    Args:
        path: The file that is decoded.
        kind: What it is not, where it is not torn.
    """
    advice = "fetch or convert it again"
    return reading(path, kind, advice, MediaError, fault=f"is torn, or is not {kind}")


def open_media(path: Path) -> InputContainer:
    """Open one local file for demuxing and decoding.

    Args:
        path: A file that :func:`extract.media.file_check.check_media_file` has let pass.
    """
    import av

    with reading_media(path):
        return av.open(
            str(path),
            container_options={"protocol_whitelist": "file", "format_whitelist": _DEMUXERS},
        )


def is_seekable(container: InputContainer) -> bool:
    """Say whether times are still right after a jump into a file.

    MPEG program streams (.mpg, .vob) time some packets only. From the front FFmpeg counts on from
    these; in the middle it guesses, wrongly, and hands torn packets to the decoder.
    """
    return container.format.name != "mpeg"
