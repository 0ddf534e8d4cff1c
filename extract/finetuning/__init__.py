"""Fine-tuning: an encoder with one linear layer, trained for one fold and killable at any moment."""
