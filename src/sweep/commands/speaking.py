"""What a verb says: to people on the terminal, to programs on standard output."""

from __future__ import annotations

import logging
import sys

from rich.text import Text

from sweep.core.secrets import without_secrets
from sweep.core.streams import print_data
from sweep.core.visible import visible
from sweep.watch.terminal import SafeConsole

console = SafeConsole(highlight=False)
err_console = SafeConsole(stderr=True, highlight=False)


class SafeFormatter(logging.Formatter):
    """Libraries tell of files and hosts in words that others have chosen."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(visible(super().format(record)))


def say(line: str) -> None:
    """A line of what the verb is asked for."""
    console.print(Text(line), soft_wrap=True)


def say_aside(line: str) -> None:
    """A line beside what another program reads."""
    err_console.print(Text(line), soft_wrap=True)


def print_answers(text: str) -> None:
    """Print what is redirected into a file, most often, and say where that is no text of here."""
    # A file gets every sign as it is; a terminal would obey some.
    code_page = print_data(visible(text) if sys.stdout.isatty() else text)
    if code_page is not None:
        say_aside(f"standard output was written as UTF-8, not as {code_page}")
