"""What a process says, line by line, for those who wait for a certain line."""

from __future__ import annotations

import re
import threading
import time
from typing import IO


class Output:
    """Collects the lines of a stream until it ends. They are to be waited for, not polled."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str, *, timeout: float = 30.0) -> str:
        """The first line that holds the pattern, among all so far and those to come.

        Raises AssertionError, which quotes all lines, when the stream ends or the time is up.
        """
        wanted = re.compile(pattern)
        end = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if wanted.search(line):
                        return line
                seen = len(self._lines)
                if self._ended or not self._news.wait(end - time.monotonic()):
                    raise AssertionError(f"no {pattern!r} in:\n{''.join(self._lines)}")

    def matching(self, pattern: str) -> list[str]:
        """The lines so far that hold the pattern."""
        with self._news:
            return [line for line in self._lines if re.search(pattern, line)]

    def close(self) -> None:
        """Waits for the end of the stream."""
        self._thread.join()
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
