"""The way of messages from child processes to the one that writes them.

On POSIX a pipe without any lock: what is longer than the system writes at once travels in pieces, which the reader
puts together again. So a process that is killed, or forked in the middle of a write, blocks and damages nobody.
"""

from __future__ import annotations

import itertools
import os
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from otelbridge.sinks.answers import Answers

MESSAGE, MARK, QUESTION = 1, 2, 3
_LAST = 0x80  # set in the kind of a message's last piece

# Kind, sender, number of the message, length of the piece.
_HEADER = struct.Struct("=BQIH")
_READ_SIZE = 1 << 16
# Messages of which pieces are missing, as their sender died: older ones are given up.
_PARTIAL_COUNT_MAX = 1024


class Channel(Protocol):
    """One end or both ends; pickled for a child that is being spawned it is the sending end."""

    answers: Answers  # to the questions that were sent

    def send(self, kind: int, data: bytes) -> None:
        """Hand over one message. BrokenPipeError: nobody reads any more. Blocks while the other side is behind."""

    def has_room(self) -> bool:
        """Whether `send` would not block."""

    def is_read(self) -> bool:
        """Whether anybody may still read what was sent."""

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """What arrives, as (kind, data), until the channel is closed."""

    def forget_reader(self) -> None:
        """From now on only send: after a fork, in the child."""

    def close_reader(self) -> None:
        """Nobody reads any more: senders get BrokenPipeError."""


def open_channel() -> Channel:
    """A new channel. OSError: no file descriptors are left."""
    if sys.platform == "win32":
        return _Connections()
    answers = Answers()
    return _Pipe(*os.pipe(), answers)


class _Pipe:
    """POSIX: a pipe, to which pieces that the system writes whole are written."""

    def __init__(self, reader: int | None, writer: int, answers: Answers) -> None:
        self.answers = answers
        self._reader = reader
        self._writer = writer
        self._renew_sender()

    def _renew_sender(self) -> None:
        self._sender = int.from_bytes(os.urandom(8), "little")
        self._numbers = itertools.count()

    def send(self, kind: int, data: bytes) -> None:
        number = next(self._numbers) & 0xFFFFFFFF
        for piece in _pieces(kind, self._sender, number, data):
            _write(self._writer, piece)

    def has_room(self) -> bool:
        import select

        return bool(select.select((), (self._writer,), (), 0)[1])

    def is_read(self) -> bool:
        import select

        poll = select.poll()
        poll.register(self._writer, 0)
        return not poll.poll(0)  # of a pipe that nobody reads the system says so unasked

    def frames(self) -> Iterator[tuple[int, bytes]]:
        assert self._reader is not None
        received = bytearray()
        partial: dict[tuple[int, int], bytearray] = {}
        while data := os.read(self._reader, _READ_SIZE):
            received += data
            yield from _assemble(received, partial)

    def forget_reader(self) -> None:
        self._renew_sender()
        self.close_reader()

    def close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            os.close(reader)

    def __del__(self) -> None:
        # Not earlier: another thread may be in `send`.
        self.close_reader()
        os.close(self._writer)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return _inherit, (DupFd(self._writer), self.answers)


def _inherit(descriptor: Any, answers: Answers) -> _Pipe:
    return _Pipe(None, descriptor.detach(), answers)


def _pieces(kind: int, sender: int, number: int, data: bytes) -> Iterator[bytes]:
    from select import PIPE_BUF

    size = PIPE_BUF - _HEADER.size
    for start in range(0, len(data) or 1, size):
        piece = data[start : start + size]
        last = _LAST if start + size >= len(data) else 0
        yield _HEADER.pack(kind | last, sender, number, len(piece)) + piece


def _assemble(received: bytearray, partial: dict[tuple[int, int], bytearray]) -> Iterator[tuple[int, bytes]]:
    """Take complete pieces from `received`; what lacks others waits in `partial`."""
    start = 0
    while len(received) - start >= _HEADER.size:
        kind, sender, number, length = _HEADER.unpack_from(received, start)
        end = start + _HEADER.size + length
        if end > len(received):
            break
        piece = received[start + _HEADER.size : end]
        start = end
        whole = partial.pop((sender, number), None)
        if whole is not None:
            whole += piece
            piece = whole
        if kind & _LAST:
            yield kind & ~_LAST, bytes(piece)
            continue
        partial[sender, number] = piece
        if len(partial) > _PARTIAL_COUNT_MAX:
            del partial[next(iter(partial))]
    del received[:start]


def _write(descriptor: int, piece: bytes) -> None:
    import signal

    if signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN:  # as Python sets it
        os.write(descriptor, piece)
        return
    # A program that changed this would be killed, or told, of a pipe that it knows nothing about.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        os.write(descriptor, piece)
    except BrokenPipeError:
        if signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Connections:
    """Windows, where a pipe keeps messages apart and writes each whole, and where nothing forks."""

    def __init__(self) -> None:
        from multiprocessing.connection import Pipe

        self.answers = Answers()
        self._lock = threading.RLock()  # a connection serves one thread at a time
        self._reader: Any
        self._reader, self._writer = Pipe(duplex=False)

    def send(self, kind: int, data: bytes) -> None:
        with self._lock:
            self._writer.send_bytes(bytes((kind,)) + data)

    def has_room(self) -> bool:
        return True

    def is_read(self) -> bool:
        return True  # else the next `send` raises

    def frames(self) -> Iterator[tuple[int, bytes]]:
        try:
            while True:
                data = self._reader.recv_bytes()
                yield data[0], data[1:]
        except EOFError:
            return

    def forget_reader(self) -> None:
        return

    def close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def __getstate__(self) -> Any:
        return self._writer, self.answers

    def __setstate__(self, state: Any) -> None:
        self._lock = threading.RLock()
        self._reader = None
        self._writer, self.answers = state
