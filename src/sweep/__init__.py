"""sweep: which LoRA setting is best for a task, how sure that is, and the adapter."""

__version__ = "0.1.0"
