"""Training of a pack by the Hugging Face `Trainer`: runs, rungs, memory, pace."""
