"""`hypercorn.run` and `hypercorn.__main__`, kept to their word: `run(config)`, `main(sys_args)` (rows 3.1, 3.2)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from otelbridge.server.errors import StartError
from otelbridge.server.options import parse
from otelbridge.server.serving import run, run_command

__all__ = ["main", "run"]


def main(sys_args: Sequence[str] | None = None) -> int:
    """Serve as a command line says, by default the program's own; return the exit code, as `run` does.

    The options are those of `otelbridge run`, which are Hypercorn's and a few more. Wrong usage raises SystemExit(2).
    """
    command = parse(sys.argv[1:] if sys_args is None else sys_args)
    try:
        run_command(command)
    except (StartError, ValueError) as error:
        print(f"otelbridge: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
