"""Clips whose names say everything: as they were published, and as copies of them circulate.

Copies are flat in one folder, sorted by emotion, or hold every clip twice. A copy is read by the
names of its files alone, and what is odd about it is noted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embeddings_store.errors import ManifestError
from extract.corpora._files import relative, visible, wrong_root
from extract.corpora._notes import Notes, listed

AGAIN = "clip that is there again in another folder, skipped"
OTHER_SIZE = "clip that is there again in another size, skipped; find out which one was published"
SORTED_OTHERWISE = "clip in a folder that is called after another emotion; its own name counts"
CLOSED = "folder that cannot be opened, skipped; check its permissions"
DEEPEST = 3  # folders below the root: zip's name, zip's name again, emotion
MEDIA = (".wav", ".flac", ".mp3", ".mp4", ".flv", ".avi")
WORDS = {
    "anger": "anger angry ang",
    "boredom": "boredom bored",
    "calm": "calm",
    "disgust": "disgust disgusted dis",
    "fear": "fear fearful fea scared",
    "happiness": "happiness happy hap joy",
    "neutral": "neutral neu",
    "sadness": "sadness sad",
    "surprise": "surprise surprised pleasant ps",
}
MEANING = {word: emotion for emotion, words in WORDS.items() for word in words.split()}
LabelOf = Callable[[Path], str]


@dataclass(slots=True)
class FoundClips:
    """What lies below a root.

    Attributes:
        clips: Each clip once, in folders near the root first.
        odd: Other files beside clips.
    """

    clips: list[Path] = field(default_factory=list)
    odd: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClipRelease:
    """How a corpus of named clips is recognised.

    Attributes:
        corpus: What it is called, for messages.
        layout: How it was published, for messages.
        label_of: The label of a file by its name and folder, empty for what is no clip.
        is_published: Whether a folder has the folders of the release itself.
        id_of: What a clip is called wherever it lies; by default as its file.
    """

    corpus: str
    layout: str
    label_of: LabelOf
    is_published: Callable[[Path], bool]
    id_of: Callable[[Path], str] = lambda path: path.name

    def find(self, root: Path, notes: Notes) -> FoundClips:
        """Return the clips below a root.

        Args:
            root: The release, or a copy of it in other folders.
            notes: Gets what is there twice, sorted wrongly or hidden.

        Raises:
            ManifestError: It is neither; names a folder nearby that is.
        """
        if not root.is_dir():
            raise wrong_root(root, self.corpus, self.layout, self.is_published)
        found, folders, first = FoundClips(), list[Path](), dict[str, Path]()
        for folder, files in _folders(root, notes):
            clips = [path for path in files if self.label_of(path)]
            if clips:
                folders.append(folder)
                odd = [path for path in files if not self.label_of(path)]
                found.odd += [p for p in odd if folder != root or p.suffix.lower() in MEDIA]
            for path in clips:
                self._note_folder(path, root, notes)
                known = first.setdefault(self.id_of(path), path)
                if known == path:
                    found.clips.append(path)
                else:
                    kind = AGAIN if _size(known) == _size(path) else OTHER_SIZE
                    notes.count(kind, relative(path, root))
        if not self.is_published(root):
            if not self._circulates(root, folders):
                raise wrong_root(root, self.corpus, self.layout, self._is_near)
            names = [relative(folder, root) for folder in folders if folder != root]
            where = f"in {listed(names)}" if names else "in one folder"
            notes.say(
                f"{len(found.clips):,} clips {where}, not as published ({self.layout}): read by "
                "the names of the files"
            )
        return found

    def _circulates(self, root: Path, folders: list[Path]) -> bool:
        """Whether clips lie in the root itself, or below several of its folders.

        A part of a release is no copy.
        """
        if self.is_published(root.resolve().parent):
            return False
        return root in folders or len({f.relative_to(root).parts[0] for f in folders}) > 1

    def _is_near(self, folder: Path) -> bool:
        return self.is_published(folder) or any(map(self.label_of, visible(folder)))

    def _note_folder(self, path: Path, root: Path, notes: Notes) -> None:
        folder, own = emotion_of(path.parent.name), emotion_of(self.label_of(path))
        if path.parent != root and folder and own and folder != own:
            notes.count(SORTED_OTHERWISE, relative(path, root))


def emotion_of(words: str) -> str:
    """Return the emotion that the name of a folder or a label speaks of, empty for none.

    >>> emotion_of("OAF_Pleasant_surprise"), emotion_of("angry"), emotion_of("Actor_01")
    ('surprise', 'anger', '')
    """
    found = (MEANING.get(word, "") for word in re.split(r"[^a-z]+", words.lower()))
    return next(filter(None, found), "")


def _folders(root: Path, notes: Notes) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the root and the folders below it with their files, those near the root first.

    What is hidden is counted, and so is a folder that may not be opened.
    """
    level = [root]
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            try:
                entries = visible(folder, notes)
            except ManifestError:
                if folder == root:
                    raise
                notes.count(CLOSED, relative(folder, root))
                continue
            below += [path for path in entries if path.is_dir()]
            yield folder, [path for path in entries if not path.is_dir()]
        level = below


def _size(path: Path) -> int:
    """Return a file's size, -1 for a link to nowhere."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
