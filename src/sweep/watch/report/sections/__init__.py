"""What the page says, from top to bottom. A section that has nothing to show is None."""
