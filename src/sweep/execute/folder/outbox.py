"""What a worker says, in a file of its own; nothing is lost where the disk is full for a while."""

from __future__ import annotations

import errno
import time
from collections import deque
from pathlib import Path

from sweep.execute.folder.disk import append
from sweep.execute.folder.messages import Beat, Message, to_line

#: The folder is not there any more: nobody reads.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


class NobodyReads(Exception):
    """The driver has removed what it read from."""


class Outbox:
    """Messages to the driver.

    Args:
        beat_s: Seconds after which silence is broken.
    """

    def __init__(self, path: Path, *, beat_s: float) -> None:
        self._path = path
        self._beat_s = beat_s
        self._waiting: deque[str] = deque()
        self._number = 0
        self._spoke = time.monotonic()
        self._torn = False

    def say(self, message: Message) -> None:
        """Write a message, or keep it for later where the disk takes none.

        Raises:
            NobodyReads: as it says.
        """
        self._number += 1
        self._waiting.append(to_line(message, self._number))
        self.flush()

    def beat(self) -> None:
        """Say that the worker lives, where nothing else was said for a while."""
        if time.monotonic() - self._spoke >= self._beat_s:
            self._spoke = time.monotonic()
            if self._waiting:
                self.flush()
            else:
                self.say(Beat())

    def flush(self) -> None:
        """Write what waits, as one piece."""
        text = ("\n" if self._torn else "") + "".join(self._waiting)
        try:
            append(self._path, text)
        except OSError as error:
            if error.errno in _GONE:
                raise NobodyReads from None
            # A part of it may be there: the next piece begins with a line of its own.
            self._torn = True
            return
        self._waiting.clear()
        self._torn = False
        self._spoke = time.monotonic()
