"""Fine-tuning: an encoder with one linear layer, trained for one fold, killable at any moment."""
