"""What leaves a study: the adapter, verified, and its scores."""
