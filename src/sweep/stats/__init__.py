"""How sure a score is: intervals, comparisons, effects, the verdict. Numpy and scipy only."""
