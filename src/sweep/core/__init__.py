"""Domain words and the loop. Standard library only; imports nothing from the other rooms."""
