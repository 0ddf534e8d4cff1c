"""One job of extraction: a corpus and an encoder in, store files out, frozen or fine-tuned."""
