"""The search space: dimensions, conditions, points."""
