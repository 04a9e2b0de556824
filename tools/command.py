"""Running other programs: quietly into a log, or in our place. Decides nothing about what to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.places import ROOT, WINDOWS, cache_folder, writable
from tools.progress import ToolError

NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Failed to establish a new connection",
    "no such host",
    "dial tcp",
    "(from versions: none)",  # all that pip says, when it is quiet, of an index that it cannot reach
)
DISK_FULL = "No space left on device"


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for programs that we start: the user's, with a place for Zig's cache where home has none."""
    env = {**os.environ, **(changes or {})}
    if "ZIG_GLOBAL_CACHE_DIR" not in env and not WINDOWS:
        zig_cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zig"
        if not writable(zig_cache):
            env["ZIG_GLOBAL_CACHE_DIR"] = str(cache_folder() / "zig")
    return env


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path = ROOT,
    changes: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run *command* with all its output in the file *log*, each line also given to *on_line*.

    Raises `ToolError` with the likeliest reason in one sentence if it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        with subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=environment(changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    file.write(line)
                    lines.append(line.rstrip())
                    if on_line:
                        on_line(line.rstrip())
            except BaseException:  # Ctrl-C: leave nobody behind
                process.terminate()
                raise
        code = process.returncode
    if code != 0:
        raise ToolError(f"{reason(lines) or f'{command[0]} exited with {code}'} (whole output: {log})")


def reason(lines: Sequence[str]) -> str:
    """The likeliest cause in a failed program's output, in one sentence; empty if it printed nothing."""
    text = "\n".join(lines)
    if DISK_FULL in text:
        return "the disk is full"
    network = next((line for line in lines if any(word in line for word in NO_NETWORK)), None)
    if network:
        return f"a download failed, check the network or the proxy settings: {network.strip().removeprefix('ERROR: ')}"
    # Compilers and pip write "error:", Maven "[ERROR] ".
    told = [
        line.strip() for line in lines if re.search(r"error(:|\] )", line, re.I) and "subprocess-exited" not in line
    ]
    said = [line.strip() for line in lines if line.strip()]
    return told[0] if told else said[-1] if said else ""


def become(command: Sequence[str | Path]) -> int:
    """Let *command* take our place (terminal, signals, exit code), in the checkout's folder."""
    arguments = [str(part) for part in command]
    sys.stdout.flush()
    os.chdir(ROOT)
    if WINDOWS:
        return subprocess.call(arguments, env=environment())
    os.execve(arguments[0], arguments, environment())
