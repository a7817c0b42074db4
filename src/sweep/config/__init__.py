"""Everything that is checked before training: composition, settings, preflight."""
