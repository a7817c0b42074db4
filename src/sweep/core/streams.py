"""Standard output and standard error of a process: nothing that is printed can end a command."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any

#: A character that the code page lacks is written as `\u00e9`, as Python does on standard error.
_LACKING = "backslashreplace"
#: What writing meets when nobody reads any more: a closed pipe, a terminal that is gone.
_NOBODY_READS = {errno.EPIPE, errno.EIO, *({errno.EINVAL} if os.name == "nt" else ())}


def prepare_streams() -> None:
    """Once, before anything is printed or opened.

    Any character can be printed on any code page. Where nobody reads any more, or there is no
    stream at all, what is printed goes nowhere. A disk that is full is told, once.
    """
    _fill_gaps()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = _outliving(getattr(sys, name), descriptor)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def print_into(descriptor: int) -> None:
    """Send what this process prints, libraries' C code included, to an open file, as UTF-8."""
    for name, own in (("stdout", 1), ("stderr", 2)):
        os.dup2(descriptor, own)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=_LACKING, line_buffering=True)
        else:
            setattr(sys, name, _opened(own))


def print_data(text: str) -> str | None:
    """Print what another program is to read: to a file or a pipe always as UTF-8.

    Returns:
        The encoding that standard output has otherwise, where that is another one.
    """
    stream = sys.stdout
    is_plain = isinstance(stream, io.TextIOWrapper) and not stream.isatty()
    if not is_plain or codecs.lookup(stream.encoding).name == "utf-8":
        print(text, end="", flush=True)
        return None
    assert isinstance(stream, io.TextIOWrapper)
    own = stream.encoding
    stream.reconfigure(encoding="utf-8", errors=_LACKING)
    print(text, end="", flush=True)
    stream.reconfigure(encoding=own, errors=_LACKING)
    return own


def _fill_gaps() -> None:
    """Open what was closed (`>&-`, no console): the next file would take its number, and be
    printed into."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == descriptor:
                os.set_inheritable(opened, True)
            else:
                os.dup2(opened, descriptor)
                os.close(opened)


def _opened(descriptor: int) -> io.TextIOWrapper:
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors=_LACKING, closefd=False)


def _outliving(stream: object, descriptor: int) -> io.TextIOBase:
    """The stream anew, so that it outlives whoever reads it."""
    if stream is None:
        return _opened(descriptor)
    if not isinstance(stream, io.TextIOWrapper):  # somebody else's, in a notebook
        assert isinstance(stream, io.TextIOBase)
        return stream
    by_line, at_once = stream.line_buffering, stream.write_through
    encoding, buffer = stream.encoding, stream.detach()
    raw = buffer.detach() if isinstance(buffer, io.BufferedIOBase) else buffer
    outliving = io.BufferedWriter(_Outliving(raw))
    return io.TextIOWrapper(
        outliving,
        encoding=encoding,
        errors=_LACKING,
        line_buffering=by_line,
        write_through=at_once,
    )


class _Outliving(io.RawIOBase):
    """Writes as long as somebody reads, and to nowhere after that.

    Args:
        raw: Where Python writes itself.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    @property
    def name(self) -> object:
        return getattr(self._raw, "name", "")

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int | None:
        """What the raw stream does.

        Raises:
            OSError: for another reason than that nobody reads; what is printed later is lost.
        """
        try:
            return self._raw.write(data)
        except OSError as error:
            # Not again: what could not be written is tried once more when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno not in _NOBODY_READS:
                raise
            return memoryview(data).nbytes
