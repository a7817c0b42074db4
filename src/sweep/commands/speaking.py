"""What a verb says: to people on the terminal, to programs on standard output."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from sweep.core.streams import print_data

console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """A line of what the verb is asked for."""
    console.print(Text(line), soft_wrap=True)


def say_aside(line: str) -> None:
    """A line beside what another program reads."""
    err_console.print(Text(line), soft_wrap=True)


def print_answers(text: str) -> None:
    """Print what is redirected into a file, most often, and say where that is no text of here."""
    code_page = print_data(text)
    if code_page is not None:
        say_aside(f"standard output was written as UTF-8, not as {code_page}")
