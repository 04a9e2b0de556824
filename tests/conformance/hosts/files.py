"""A folder for log files: what is in it, files of any age, and calls at any time."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

UTC = datetime.UTC


def local(*parts: int) -> datetime.datetime:
    """A moment of the local time zone."""
    return datetime.datetime(*parts).astimezone()  # type: ignore[arg-type]


class Folder:
    """The folder that a test's files are in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def names(self) -> list[str]:
        """The names of all files, folders included by their files."""
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())

    def texts(self) -> list[str]:
        """The texts of all files, in the order of the files' names, `a.log` last as the newest."""
        ordered = sorted(self.names(), key=lambda name: (name == "a.log", name))
        return [(self.path / name).read_text("utf-8") for name in ordered]

    def text(self, name: str) -> str:
        return (self.path / name).read_text("utf-8")

    def old(self, name: str, when: datetime.datetime, text: str = "old\n") -> Path:
        """A file that was last changed at `when`."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        os.utime(path, (when.timestamp(), when.timestamp()))
        return path


def say(logger: Any, when: datetime.datetime, message: str) -> None:
    """Log `message` as if it were `when`."""

    def change(record: Any) -> None:
        record["time"] = record["time"].replace(
            year=when.year,
            month=when.month,
            day=when.day,
            hour=when.hour,
            minute=when.minute,
            second=when.second,
            microsecond=when.microsecond,
            tzinfo=when.tzinfo,
        )

    logger.patch(change).info(message)


def when_asked(message: Any, file: Any) -> bool:
    """A rotation that happens before messages which say so."""
    return bool(message.record["message"].startswith("rotate"))
