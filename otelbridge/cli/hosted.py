"""The demo's child process: Hypercorn, as its own command runs it, which ends when its parent does.

Not a verb. Run as `python -m otelbridge.cli.hosted HYPERCORN_ARGUMENT...` with a pipe for stdin, held open.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

GRACE_S = 5.0


def main(arguments: list[str]) -> int:
    """Run Hypercorn in this process until it ends."""
    from hypercorn.__main__ import main as hypercorn

    threading.Thread(target=_end_with_parent, name="demo-parent", daemon=True).start()
    return hypercorn(arguments)


def _end_with_parent() -> None:
    # A parent that was killed cannot stop us, but its end of the pipe closes.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    signal.raise_signal(signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
