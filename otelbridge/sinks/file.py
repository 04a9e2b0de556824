"""A log file: opened, written, rotated, followed (features.md 1.11). Who else writes to it: see `locks`."""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH103, PTH104, PTH110, PTH116, PTH120, PTH122, PTH123

from __future__ import annotations

import codecs
import errno
import io
import os
import stat
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any, cast

from otelbridge._native import now_ns
from otelbridge.departures import strict
from otelbridge.sinks import creation_time
from otelbridge.sinks.compression import make_compression
from otelbridge.sinks.locks import append_only, claimed, is_at, pin, turn
from otelbridge.sinks.paths import FilePath, LogPath, dated_path
from otelbridge.sinks.retention import make_retention
from otelbridge.sinks.rotation import Condition, Schedule, SizeLimit, make_rotation
from otelbridge.text.time import local_time

# How long lines may go to a file that others have renamed or removed.
_LOOK_S = 1.0
# What may wait in memory for a full disk, beyond the buffer that was asked for.
_BACKLOG_BYTES = 1 << 20
_OPEN_OPTIONS = ("errors", "newline", "opener", "closefd")
# After these errors the file itself is as good as before.
_SPACE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileSink:
    """Writes messages to a file, which can be rotated, packed and in time removed.

    path: where; folders are made as needed; `{time}` and `{time:FORMAT}` stand for the time at which a file is begun.
    rotation: when a new file is begun: bytes, "10 MB", "1 week", "18:00", "monday at 12:00", "daily", a timedelta, a
        time, or a function (message, file) -> bool. None: never.
    retention: which files stay: a number of files, "30 days", a timedelta (age since their last change), or a function
        that is given the list of files. None: all. Applied at each rotation; without rotation when the sink stops.
    compression: gz, bz2, xz, lzma, zip, tar, tar.gz, tar.bz2, tar.xz, or a function that is given the path; applied to
        each file that is done with. None: none.
    delay: True opens the file at the first message. watch: True looks before each message whether the file was renamed
        or removed by others, and opens it anew; False looks once a second.
    mode, buffering, encoding and `errors`, `newline`, `opener`: as for `open()`. buffering: bytes of whole lines that
        are kept until `flush`, at most about a second if more lines come; 1 writes each message at once.
    Wrong arguments: TypeError, ValueError. Files that cannot be opened or written: OSError, at each message that is
    lost; the next one tries again. If packing or removing old files fails, that error is raised after the message has
    been written. No message is written in half or twice.

    Several processes may write to one path, each with a sink of its own or forked from one that has it. On a local
    POSIX file system every line arrives, whole and once: each message is one append, one process rotates and the others
    follow, and a file is packed or removed only when no process can write to it any more. A message of a process that
    has not seen a rotation yet (for at most a second) may stand in the file before. Files with `{time}` in their names
    are each process's own unless their names happen to be equal. Network file systems and Windows: one process only.
    """

    _file: io.TextIOWrapper | None
    _encode: Callable[[str], bytes]
    _is_due: Callable[[str], object] | None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rotation: object = None,
        retention: object = None,
        compression: object = None,
        delay: bool = False,
        watch: bool = False,
        mode: str = "a",
        buffering: int = 8192,
        encoding: str | None = "utf-8",
        **open_options: Any,
    ) -> None:
        self._named = FilePath(path)
        self._rotation = make_rotation(rotation)
        self._retention = make_retention(retention)
        self._compression = make_compression(compression)
        self._watch = watch
        self._mode = mode
        self._options = {"buffering": buffering, "encoding": encoding, **open_options}
        # Whether anyone may rename, pack or remove the file while it is written to.
        self._is_shared = any(option is not None for option in (rotation, retention, compression))
        self._unpacked: list[LogPath] = []  # rotated files that other processes still write to
        self._path: str | None = None
        self._buffer = bytearray()
        self._buffer_bytes = 0
        self._pid = os.getpid()
        self._forget()
        self._check(open_options)
        if not delay:
            self._open(self._destination())

    # --- the sink ----------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The file that is written to; before it is opened and after `stop`, the path as it was given."""
        return self._path or self._named.given

    def write(self, message: str) -> None:
        """Write one message (of a handler: with its record). OSError: it could not be written."""
        is_time_to_look = monotonic() >= self._look_s
        if is_time_to_look:
            self._look()
        if self._is_due is not None and self._is_due(message):
            self._write_after_rotation(message)
        elif self._buffer_bytes:
            self._put_later(self._encode(message))
        else:
            self._append(self._encode(message))
        if is_time_to_look:
            self.flush()
            self._pack_rest()

    def flush(self) -> None:
        """Write what is buffered. OSError: it could not be written, and stays in the buffer."""
        if not self._buffer:
            return
        if self._pid != os.getpid():  # what was in the buffer at the fork is the parent's to write
            self.renew()
            return
        if self._file is None:
            self._look()
        self._append(bytes(self._buffer))
        self._buffer.clear()

    complete = flush

    def stop(self) -> None:
        """Write what is buffered and close; without a rotation the file is packed, and old ones removed, now."""
        path = self._path
        try:
            if path is not None and self._watch:
                self._look()
            self.flush()
        finally:
            if self._file is not None and self._is_moved():
                self._leave()
            self._close()
            self._path = None
        self._pack_rest()
        if self._rotation is None:
            if path is not None:
                self._pack(LogPath(path))
            self._retire(None)

    def renew(self) -> None:
        """In a forked child: the file is opened anew at the next message; what waits is the parent's business."""
        self._pid = os.getpid()
        self._buffer.clear()
        self._unpacked.clear()
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        # In another process, or as a copy: the same file, opened at the next message.
        left_behind = ("_file", "_encode", "_is_due", "_buffer", "_unpacked")
        return {name: value for name, value in self.__dict__.items() if name not in left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _buffer=bytearray(), _unpacked=[], _pid=os.getpid())
        self._forget()

    def __repr__(self) -> str:
        return repr(self._named.given)

    # --- opening and closing -----------------------------------------------------------------------------------

    def _check(self, open_options: dict[str, Any]) -> None:
        """Raise now what would be wrong with each message later."""
        if not isinstance(self._mode, str):
            raise TypeError(f"mode must be a str, got {self._mode!r}")
        for name in open_options:
            if name not in _OPEN_OPTIONS:
                raise TypeError(
                    f"FileSink() got an unexpected keyword argument {name!r}; "
                    f"for open() there are mode, buffering, encoding, {', '.join(_OPEN_OPTIONS)}"
                )
        self._named.at(local_time(now_ns()))  # a field other than time
        options = {name: value for name, value in self._options.items() if name != "opener"}
        with open(os.devnull, self._mode.replace("x", "w"), **options) as file:
            if "b" in self._mode:
                raise ValueError(f"mode must be one for text, got {self._mode!r}")
            if not file.writable():
                raise io.UnsupportedOperation(f"mode must be one for writing, got {self._mode!r}")

    def _destination(self) -> str:
        return self._named.at(local_time(now_ns()))

    def _open(self, path: str) -> None:
        file, status = self._opened(path)
        self._file = file
        self._fd = file.fileno()
        self._path = path
        self._id = (status.st_dev, status.st_ino)
        self._is_regular = stat.S_ISREG(status.st_mode)
        # Only the first opening may empty the file: at any later one there may be lines of other processes in it.
        self._mode = self._mode.replace("w", "a").replace("x", "a")
        self._size = status.st_size
        if self._is_regular and self._rotation is not None:
            os.lseek(self._fd, 0, os.SEEK_END)
        self._encode = _encoder(file, self._options.get("newline"), is_continued=status.st_size > 0)
        self._buffer_bytes = _buffer_bytes(self._options["buffering"], file)
        self._is_due = self._due_check()
        self._is_sized = self._is_regular and isinstance(self._rotation, SizeLimit)
        self._look_s = 0.0 if self._watch else monotonic() + _LOOK_S

    def _opened(self, path: str) -> tuple[io.TextIOWrapper, os.stat_result]:
        """The file, pinned if it is one that anyone may pack or remove, and its state."""
        mode = self._mode
        while True:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = cast("io.TextIOWrapper", open(path, mode, **self._options))  # noqa: SIM115 -- closed by _close
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return file, status
            if "a" not in mode and "+" not in mode:
                append_only(file.fileno())
            if not self._is_shared:
                return file, status
            pin(file.fileno())
            if is_at(file.fileno(), path):
                return file, os.fstat(file.fileno())
            file.close()  # another process was renaming or packing it at this moment
            mode = mode.replace("w", "a").replace("x", "a")

    def _close(self) -> None:
        file = self._file
        self._forget()
        if file is not None:
            try:
                file.close()
            except OSError:  # the descriptor was closed behind our back; nothing was buffered there
                return

    def _forget(self) -> None:
        self._file = None
        self._fd = -1
        self._size = 0
        self._id = (0, 0)
        self._is_regular = False
        self._encode = str.encode
        self._is_due = None
        self._is_sized = False
        self._look_s = 0.0  # the next message opens it

    def _look(self) -> None:
        """Open the file if it is not open, or if others have moved it away from its path."""
        if self._file is None:
            self._open(self._path or self._destination())
        elif self._is_moved():
            self._follow()
        else:
            self._look_s = 0.0 if self._watch else monotonic() + _LOOK_S

    def _is_moved(self) -> bool:
        if not self._is_regular:
            return False
        try:
            return _identity(self._path or "") != self._id
        except OSError:  # not for us to see
            return False

    def _follow(self) -> None:
        path = self._path
        assert path is not None  # it was open
        self._leave()
        self._open(path)
        if isinstance(self._rotation, Schedule) and self._rotation.has_begun:
            self._rotation.follow(creation_time.get_ctime(path))

    def _leave(self) -> None:
        """Close a file that others have renamed; whoever is the last to leave it packs it."""
        identity = self._id
        self._close()
        if self._compression is not None and self._rotation is not None:
            self._unpacked += [path for path in self._named.found() if _identity(path) == identity]

    # --- writing -----------------------------------------------------------------------------------------------

    def _put(self, message: str) -> None:
        data = self._encode(message)
        if self._buffer_bytes:
            self._put_later(data)
        else:
            self._append(data)

    def _put_later(self, data: bytes) -> None:
        if self._pid != os.getpid():
            self.renew()
            self._look()
        if len(self._buffer) >= self._buffer_bytes + _BACKLOG_BYTES:
            self.flush()  # raises as long as the disk is full: then this message is the one that is lost
        self._buffer += data
        self._size += len(data)
        if len(self._buffer) >= self._buffer_bytes:
            self.flush()

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            written = self._written_anyway(data, error)
        if written != len(data):
            self._complete(data, written)
        if self._is_sized:
            self._size = os.lseek(self._fd, 0, os.SEEK_CUR)  # behind this message, and behind those of others

    def _written_anyway(self, data: bytes, error: OSError) -> int:
        """Nothing was written: once more if the descriptor was closed behind our back, else raise."""
        if error.errno in _SPACE_ERRORS:
            self._look_s = 0.0
            raise error
        self._close()
        if error.errno != errno.EBADF:
            raise error
        self._look()
        return os.write(self._fd, data)

    def _complete(self, data: bytes, written: int) -> None:
        """Write the rest; if that cannot be done, take back the beginning and raise."""
        rest = memoryview(data)
        try:
            while written < len(data):
                written += os.write(self._fd, rest[written:])
        except OSError:
            self._look_s = 0.0
            self._take_back(written)
            raise

    def _take_back(self, written: int) -> None:
        if not self._is_regular:
            return
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        if os.fstat(self._fd).st_size == end:  # nobody's line stands behind it
            os.ftruncate(self._fd, end - written)
            os.lseek(self._fd, end - written, os.SEEK_SET)

    # --- rotation ----------------------------------------------------------------------------------------------

    def _due_check(self) -> Callable[[str], object] | None:
        if not self._is_regular:  # a device or a pipe has no end, and nothing may rename /dev/stdout
            return None
        if isinstance(self._rotation, SizeLimit):
            return self._is_full
        if isinstance(self._rotation, Schedule):
            return self._is_over
        return None if self._rotation is None else self._is_wanted

    def _is_full(self, message: str) -> bool:
        return self._size + len(message) > self._rotation.limit  # type: ignore[union-attr]  # chosen by its type

    def _is_over(self, message: str) -> bool:
        schedule = self._rotation
        assert isinstance(schedule, Schedule)
        time_ns = _time_ns(message)
        if time_ns is not None and time_ns < schedule.guard_ns:
            return False
        moment = _moment(message)
        if not schedule.has_begun:
            path = self._path or ""
            created_s = creation_time.get_ctime(path)
            creation_time.set_ctime(path, created_s)
            schedule.begin(created_s, moment)
        return schedule.is_due(moment, time_ns)

    def _is_wanted(self, message: str) -> object:
        assert isinstance(self._rotation, Condition)
        self.flush()
        wanted = self._rotation.function(message, self._file)
        if self._file is not None:
            self._file.flush()  # the function may have written to it
        return wanted

    def _write_after_rotation(self, message: str) -> None:
        try:
            self._rotate(message)
        except Exception:
            if strict():  # in loguru the message that meets the error is lost
                raise
            if self._file is None:
                self._look()
            self._put(message)
            raise
        self._put(message)

    def _rotate(self, message: str) -> None:
        """Begin a new file, unless another process has done so."""
        self.flush()
        old = self._path
        assert old is not None  # it is open
        with turn(os.path.dirname(old)) as is_mine:
            if not is_mine:
                return
            if self._is_moved():
                self._follow()
                if self._is_due is None or not self._is_due(message):
                    return
            if isinstance(self._rotation, Schedule):
                self._rotation.advance(_moment(message))
            self._path, done = self._step_aside(old)
        try:
            self._pack(done)
            self._retire(self._path)
        except Exception:
            if not strict():
                self._begin()
            raise
        self._begin()

    def _begin(self) -> None:
        assert self._path is not None  # decided by _rotate
        self._open(self._path)
        creation_time.set_ctime(self._path, now_ns() / 1e9)

    def _step_aside(self, old: str) -> tuple[str, LogPath]:
        """Close the file, and rename it if the next one gets its name: that name, and where the lines are now."""
        self._close()
        new = self._destination()
        if new != old:
            return new, LogPath(old)
        root, extension = os.path.splitext(old)
        done = dated_path(old, root, extension)
        os.rename(old, done)
        return new, LogPath(done)

    # --- old files ---------------------------------------------------------------------------------------------

    def _pack(self, path: LogPath) -> None:
        if self._compression is None:
            return
        with claimed(path) as is_free:
            if is_free:
                self._compression(path)
            elif os.path.exists(path) and self._rotation is not None:
                self._unpacked.append(path)

    def _pack_rest(self) -> None:
        """Try again those files that other processes were writing to."""
        paths, self._unpacked = self._unpacked, []
        for path in paths:
            self._pack(path)

    def _retire(self, current: str | None) -> None:
        if self._retention is not None:
            paths = [path for path in self._named.found() if path != current]
            self._retention(paths, now_ns() / 1e9)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file a path names; None: none."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _time_ns(message: str) -> int | None:
    """The time of the call that a message is about, if that is known without making its record."""
    source: Any = getattr(message, "_source", None)
    if not getattr(source, "has_record", True):
        return cast("int", source.time_ns)
    record = getattr(message, "record", None)
    # A time that a patcher has put there does not know its nanoseconds.
    return None if record is None else getattr(record["time"], "time_ns", None)


def _moment(message: str) -> datetime:
    """The time of a message's record; of a text that has none, now."""
    time_ns = _time_ns(message)
    if time_ns is not None:
        return local_time(time_ns)
    record = getattr(message, "record", None)
    return local_time(now_ns()) if record is None else cast("datetime", record["time"])


def _encoder(file: io.TextIOWrapper, newline: str | None, *, is_continued: bool) -> Callable[[str], bytes]:
    """What `file` would make of a text. `is_continued`: there is something in it, so no mark goes to its beginning."""
    line_end = os.linesep if newline is None else newline
    errors = file.errors or "strict"
    encode: Callable[[str], bytes] = str.encode
    if codecs.lookup(file.encoding).name != "utf-8" or errors != "strict":
        encoder = codecs.getincrementalencoder(file.encoding)(errors)
        if is_continued:
            encoder.setstate(0)
        encode = encoder.encode
    if line_end in ("", "\n"):
        return encode
    return lambda text: encode(text.replace("\n", line_end))


def _buffer_bytes(buffering: object, file: io.TextIOWrapper) -> int:
    """How many bytes may wait; 0: none."""
    if buffering == -1:
        return 0 if file.isatty() else io.DEFAULT_BUFFER_SIZE
    return buffering if isinstance(buffering, int) and buffering > 1 else 0
