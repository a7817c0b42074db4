"""One interface of a library that nobody has promised to keep, and the versions it was seen in."""

from __future__ import annotations

from dataclasses import dataclass

#: The lowest and the newest version of each library that the hooks were seen in.
SEEN = {
    "python": ("3.11", "3.11"),
    "torch": ("2.13", "2.13.0"),
    "transformers": ("5.23", "5.24.0"),
    "tokenizers": ("0.23.1", "0.23.3"),
    "peft": ("0.20", "0.21.2"),
    "accelerate": ("1.10", "1.15.0"),
    "datasets": ("4.0", "5.2.0"),
    "optuna": ("5.0", "5.0.0"),
    "hydra-core": ("1.3.2", "1.3.8"),
    "wandb": ("0.31", "0.31.0"),
    "plotly": ("6.0", "7.1.0"),
    "choreographer": ("1.4.0", "1.4.0"),
}


@dataclass(frozen=True)
class Hook:
    """One interface that is relied on.

    Args:
        name: Importable path; the last part may be an attribute that is set on instances.
        used_in: Our module, below `src/sweep`.
        reason: What we rely on it for.
        takes: Parameters that it must have, in this order.
        has: Attributes that it must have, on the class or on its instances.
        proof: An importable path and words that its source must hold: where being there is not
            enough, because somebody has to call it, or because we rely on words.
    """

    name: str
    used_in: str
    reason: str
    takes: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    proof: tuple[str, str] | None = None

    @property
    def library(self) -> str:
        """Its key in `SEEN`."""
        first = self.name.partition(".")[0]
        return {"multiprocessing": "python", "hydra": "hydra-core"}.get(first, first)
