"""A process that writes numbered lines to a log file: `writer NAME COUNT PATH OPTIONS` (JSON).

It begins when its standard input says so. With "keep" among the options its retention moves old files to that folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otelbridge.sinks.file import FileSink


def mover(folder: Path) -> Callable[[list[Any]], None]:
    """A retention that moves all but the three newest files to a folder."""

    def move(paths: list[Any]) -> None:
        for path in sorted(paths, key=lambda path: (path.stat().st_mtime, path))[:-3]:
            path.rename(folder / path.name)

    return move


def main() -> None:
    """Write the lines."""
    name, count, path, given = sys.argv[1:]
    options = json.loads(given)
    keep = options.pop("keep", None)
    if keep is not None:
        options["retention"] = mover(Path(keep))
    sink = FileSink(path, **options)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(int(count)):
        sink.write(f"{name} {number:06} {'x' * (number % 90)}\n")
    sink.stop()


if __name__ == "__main__":
    main()
