"""Sentence pairs: reading, checking, splitting, tokenising."""
