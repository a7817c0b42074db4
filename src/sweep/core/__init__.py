"""What every room speaks of: recipe, errors, files, words. Standard library and numpy only."""
