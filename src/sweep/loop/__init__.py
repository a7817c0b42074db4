"""The loop of a search and its rules. It trains nothing and knows no library of learning."""
