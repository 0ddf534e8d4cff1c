"""What Whisper-tiny makes of RAVDESS's two sentences: word error rate by engine and detector.

    python -m benchmarks.transcripts --data ../shared

DATA holds ``data/ravdess`` and ``models/whisper-tiny``, which CTranslate2's converter turns into
the form that faster-whisper reads. The clips are those of the actors that are named, by default
two; the language is found, clip by clip. Seconds are of a processor, without loading the model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from ctranslate2.converters import TransformersConverter

from benchmarks.record import record
from embeddings_store.corpus.manifest import Manifest
from extract.corpora import read_corpus
from extract.transcription.error_rate import error_rate
from extract.transcription.load import load_recogniser
from extract.transcription.speech import DETECTORS
from extract.transcription.transcribe import Transcriber

COPIED = ["tokenizer.json", "preprocessor_config.json"]


def main() -> None:
    """Listen and record."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--actors", nargs="+", default=["11", "12"])
    given = options.parse_args()
    corpus = read_corpus("ravdess", given.data / "data" / "ravdess")
    whisper = given.data / "models" / "whisper-tiny"
    with tempfile.TemporaryDirectory() as folder:
        fast = Path(folder) / whisper.name
        TransformersConverter(str(whisper), copy_files=COPIED).convert(str(fast))
        rows = []
        for form in (whisper, fast):
            recogniser = load_recogniser(str(form))
            for detector in DETECTORS:
                transcriber = Transcriber(recogniser, detector=detector)
                rows.append({"actors": " ".join(given.actors), **heard(corpus, transcriber, given)})
                print(rows[-1])
    print(record("transcripts", rows, "python -m benchmarks.transcripts --data ../shared"))


def heard(
    corpus: Manifest, transcriber: Transcriber, given: argparse.Namespace
) -> dict[str, object]:
    """Return the row of one engine and detector."""
    table = corpus.table[corpus.table["speaker"].str[-2:].isin(given.actors)]
    transcriber.hear(corpus.media_path(table["audio"].iloc[0]))  # what is imported late is loaded
    began = time.process_time()
    found = [transcriber.hear(corpus.media_path(name)) for name in table["audio"]]
    cpu_s = time.process_time() - began
    errors = error_rate(table["text"].tolist(), [one.text() for one in found])
    silent = sum(not one.words for one in found)
    english = sum(one.language == "en" for one in found)
    about = transcriber.about()
    return {
        "model": about["model"],
        "engine": about["engine"],
        "speech": about["speech"],
        "clips": len(found),
        "word_error_rate": round(100 * errors.rate, 1),
        "errors": errors.errors,
        "words": errors.words,
        "clips_found_english": english,
        "clips_without_words": silent,
        "words_dropped": sum(one.dropped for one in found),
        "cpu_s_per_clip": round(cpu_s / len(found), 2),
    }


if __name__ == "__main__":
    main()
