"""What the header of a sound file says: length, rate and channels, without decoding it."""

from __future__ import annotations

from pathlib import Path

from embeddings_store.errors import MediaError, MissingDependencyError
from extract.media.containers import CONTAINER_SUFFIXES, track_duration
from extract.media.file_check import check_media_file
from extract.media.opening import open_media, reading_media
from extract.media.quiet import quiet_library


def probe_sound(path: Path) -> tuple[float, int, int]:
    """Return seconds, Hz and channels of a sound file, or of the sound track of a video file.

    Raises:
        MediaError: It is not there, is no media, or has no sound.
    """
    check_media_file(path)
    if path.suffix.lower() in CONTAINER_SUFFIXES:
        return _container(path)
    return _sound_file(path)


def has_sound(path: Path) -> bool:
    """Say whether a film has a sound track.

    Raises:
        MediaError: It is not there, or is no media.
    """
    check_media_file(path)
    _require_pyav()
    with reading_media(path), open_media(path) as container:
        return bool(container.streams.audio)


def _sound_file(path: Path) -> tuple[float, int, int]:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, the C library is not
        raise MissingDependencyError(
            f"reading sound needs soundfile ({error}); install the extra 'extract'"
        ) from None
    with reading_media(path, "sound that libsndfile reads"), quiet_library():
        about = soundfile.info(str(path))
        return about.frames / about.samplerate, about.samplerate, about.channels


def _container(path: Path) -> tuple[float, int, int]:
    _require_pyav()
    with reading_media(path), open_media(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path} has no sound track; leave its audio empty in the manifest")
        track = container.streams.audio[0]
        return track_duration(path, container), track.rate, track.channels


def _require_pyav() -> None:
    try:
        import av  # noqa: F401  # whether it is there
    except ImportError:
        raise MissingDependencyError(
            "reading the sound of video files needs PyAV; install the extra 'extract'"
        ) from None
