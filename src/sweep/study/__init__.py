"""The folder of a study: every file in it, and how it is read."""
