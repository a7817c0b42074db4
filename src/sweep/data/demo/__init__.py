"""Generated sentence pairs, for a start without a network."""
