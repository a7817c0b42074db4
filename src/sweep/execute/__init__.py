"""Executors: back ends behind the `Executor` port. Siblings that never import one another."""
