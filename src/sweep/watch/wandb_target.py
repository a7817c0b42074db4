"""Where wandb's runs go and what they are called: by our settings first, then by the shell's."""

from __future__ import annotations

import os
from dataclasses import dataclass

_PROJECT = "sweep"
#: Each run of a sweep has its own; taken at its word, such a variable would lead all into one, or
#: out of the study's folder.
_OF_ONE_RUN = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_JOB_TYPE", "WANDB_DIR")
#: What wandb must not find while it works for us: it is given all of these by us, or by nobody.
HIDDEN = (
    *_OF_ONE_RUN,
    *("WANDB_NAME", "WANDB_TAGS", "WANDB_MODE", "WANDB_DISABLED", "WANDB_SWEEP_ID"),
)


@dataclass(frozen=True)
class Target:
    """What all runs of a sweep have in common at wandb.

    Args:
        group: None groups them by the study's name.
        study_name: Of the study's own run; None takes the study's.
        said: Where each comes from, for people.
    """

    project: str = _PROJECT
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    study_name: str | None = None
    said: str | None = None

    @classmethod
    def of(cls, project: str | None, entity: str | None) -> Target:
        """What the settings leave open is as the shell has it."""
        tags = (tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(","))
        found = cls(
            project=project or _variable("WANDB_PROJECT") or _PROJECT,
            entity=entity or _variable("WANDB_ENTITY"),
            group=_variable("WANDB_RUN_GROUP"),
            tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
            notes=_variable("WANDB_NOTES"),
            study_name=_variable("WANDB_NAME"),
        )
        return cls(**{**vars(found), "said": found._in_words(project, entity)})

    def _in_words(self, project: str | None, entity: str | None) -> str | None:
        """One line, where the shell has a word in it."""
        places = [
            _place("project", project, self.project, "WANDB_PROJECT"),
            _place("entity", entity, self.entity, "WANDB_ENTITY"),
            _place("group", None, self.group, "WANDB_RUN_GROUP"),
            _place("tags", None, ", ".join(self.tags), "WANDB_TAGS"),
            _place("notes", None, self.notes, "WANDB_NOTES"),
            _place("the study's own run is called", None, self.study_name, "WANDB_NAME"),
            *(f"{name} does not hold for a sweep" for name in _OF_ONE_RUN if _variable(name)),
        ]
        if not any("WANDB_" in place for place in places):
            return None
        return f"wandb: {'; '.join(place for place in places if place)}"


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def _place(what: str, own: str | None, holds: str | None, variable: str) -> str:
    """`project lora (WANDB_PROJECT)`: what holds, and who says so."""
    if not holds:
        return ""
    shell = _variable(variable)
    if own is not None and shell is not None and shell != own:
        return f"{what} {holds} (tracking.{what}, before {variable}={shell})"
    return f"{what} {holds}" + (f" ({variable})" if own is None and shell is not None else "")
