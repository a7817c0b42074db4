"""Errors of the program, one tree.

SweepError                     anything this program raises on purpose
├── UserMistake (ValueError)   exit code 2: rule, value, way out; nothing was trained
│   ├── ConfigError            a key, group, experiment or value of the configuration
│   ├── DataError              a file, column, label or split
│   ├── ModelError             a model folder, Hub name or checksum
│   ├── TargetError            `lora.target_modules` or `lora.r` against the model
│   ├── StudyError             the study folder: changed settings, another driver
│   ├── ExportError            nothing to export, or an adapter that is not one
│   ├── TrackingError          wandb asked for in a way that cannot work
│   └── FiguresError           no browser, or no kaleido, to draw figures with
├── VerificationError          an exported adapter does not score what the sweep measured
└── RunFailed                  one run ended without a score; the sweep goes on

Interrupted (BaseException)    a signal asked to stop; no `except Exception` takes it for a failure
"""

from __future__ import annotations


class SweepError(Exception):
    """Base of all errors raised on purpose."""


class UserMistake(SweepError, ValueError):
    """What the user can mend: the rule that was broken, the value found, the way out.

    Args:
        rule: One sentence that says what must hold.
        value: What was found instead; left out of the message when None.
        way_out: What to do, ideally a command or a list of valid names.
    """

    def __init__(self, rule: str, *, value: object = None, way_out: str = "") -> None:
        self.rule = rule
        self.value = value
        self.way_out = way_out
        # All arguments go to the base class, so that the error survives a pickle.
        super().__init__(rule, value, way_out)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_mistake, (type(self), self.rule, self.value, self.way_out)

    def __str__(self) -> str:
        lines = [self.rule]
        if self.value is not None:
            lines.append(f"  found:   {self.value}")
        if self.way_out:
            lines.append(f"  way out: {self.way_out}")
        return "\n".join(lines)


def _rebuild_mistake(kind: type[UserMistake], rule: str, value: object, out: str) -> UserMistake:
    return kind(rule, value=value, way_out=out)


class ConfigError(UserMistake):
    """A key, group, experiment or value of the configuration."""


class DataError(UserMistake):
    """A file, column, label or split."""


class ModelError(UserMistake):
    """A model folder, Hub name or checksum."""


class TargetError(UserMistake):
    """`lora.target_modules` or `lora.r` does not fit the model."""


class StudyError(UserMistake):
    """The study folder does not fit the command."""


class ExportError(UserMistake):
    """Nothing to export, or a folder that holds no exported adapter."""


class TrackingError(UserMistake):
    """wandb was asked for in a way that cannot work."""


class FiguresError(UserMistake):
    """Figures were asked for as files, and nothing is there to draw them."""


class VerificationError(SweepError):
    """An exported adapter does not score what the sweep measured."""


class RunFailed(SweepError):
    """One run ended without a score. The message is the reason shown in the table."""


class Interrupted(BaseException):
    """A signal asked the program to stop; everything done is kept.

    Args:
        exit_code: 128 + the signal's number (130 for Ctrl-C, 143 for SIGTERM).
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(f"interrupted (exit code {exit_code})")

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows, as IPython asks for it: where it was means nothing to people."""
        return ["Interrupted: what is trained is kept, and the same cell goes on."]
