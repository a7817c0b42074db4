"""Full fine-tuning: one run that trains everything, with the face of a pack of one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sweep.loop.trial import Run
from sweep.lora.batches import Batch, TokenisedPairs
from sweep.lora.eva import directions_of
from sweep.lora.heads import head_of
from sweep.lora.pack import Base, PackedModel
from sweep.lora.unpadded import without_padding

#: What `save` writes into a folder.
_WEIGHTS = "model.safetensors"


class WholeModel:
    """One run without adapters on a copy of a base; a context manager, which leaves the base be.

    Head, dropout masks and the order of the pairs are those of a LoRA run of the same seed.

    Args:
        base: In float32; copied.
        runs: One, of a recipe that is tuned in full.
    """

    def __init__(self, base: Base, runs: Sequence[Run]) -> None:
        (run,) = runs
        self.runs = [run]
        self._base = base.copied()
        self.noise = self._base.noise
        checkpointing = run.recipe.trainer.activation_checkpointing
        self.noise.reset(run.recipe.seed, repeats=checkpointing)
        self.noise.runs = 1
        self._base.draw_head(run.recipe.seed)
        self._head = head_of(run.recipe, self._base.net)
        self.model = self._head.adapted
        self.model.requires_grad_(True)
        self._accepted = set(inspect.signature(self.model.forward).parameters) - {"labels"}
        self._encoder = None
        if not checkpointing:
            self._encoder = without_padding(
                self._base.net,
                base.tokenizer,
                self.noise,
                shared_embeddings=True,
                first_only=self._head.first_only,
            )

    def __enter__(self) -> WholeModel:
        return self

    def __exit__(self, *_: object) -> None:
        if self._encoder is not None:
            self._encoder.remove()

    def __len__(self) -> int:
        return len(self.runs)

    def forward(self, batch: Batch) -> Tensor:
        """Scores `[1, B]`, or `[1, B, C]` of C classes, for a batch of B rows."""
        inputs = {name: column for name, column in batch.items() if name in self._accepted}
        if self._encoder is not None:
            self._encoder.layout = batch["layout"]
        return self._head.scores(self.model(**inputs), batch, runs=1)

    def run_parameters(self, run_id: str) -> dict[str, nn.Parameter]:
        """All there are, by name."""
        return dict(self.model.named_parameters())

    def zero_gradients(self) -> None:
        """Clear what the next backward pass adds to."""
        for parameter in self.model.parameters():
            parameter.grad = None

    def hand_out_gradients(self) -> None:
        """They are where they belong."""

    def drop(self, run_id: str) -> None:
        """Take the run out: nothing is left to train."""
        self.runs = []

    def save(self, run_id: str, folder: Path) -> None:
        """Write all weights; `folder` exists."""
        # By parameter: weights that are tied have one name here.
        tensors = {
            name: p.detach().cpu().contiguous().clone()
            for name, p in self.run_parameters(run_id).items()
        }
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})

    def load(self, run_id: str, folder: Path) -> None:
        """Take over the weights that `save` has written."""
        state = load_file(folder / _WEIGHTS)
        with torch.no_grad():
            for name, parameter in self.run_parameters(run_id).items():
                parameter.copy_(state[name])


#: What the Trainer trains and scores: adapters of one or many runs, or all of one.
AnyPack = PackedModel | WholeModel


def pack_of(base: Base, runs: Sequence[Run], rows: TokenisedPairs | None = None) -> AnyPack:
    """These runs, of one `pack_key`, on a base.

    Args:
        rows: Of train, for adapters that begin with what they see there (EVA). Without them these
            begin as drawn, which is right where they are loaded afterwards.
    """
    if runs[0].recipe.tuning == "full":
        return WholeModel(base, runs)
    begun = directions_of(base, runs, rows) if rows is not None else {}
    pack = PackedModel(base, runs)
    for run_id, directions in begun.items():
        pack.begin_with(run_id, directions)
    return pack
