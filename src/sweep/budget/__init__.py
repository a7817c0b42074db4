"""What a sweep is expected to take: time, memory, workers."""
