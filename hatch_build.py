"""Compile native/ with the ziglang wheel: a hatchling build hook, and a command for developers.

    python hatch_build.py [--target TRIPLE] [--out FILE] [--mode ReleaseFast|ReleaseSafe|Debug]

Without arguments it rebuilds `otelbridge/_native` in place, for this machine. OTELBRIDGE_TARGET=TRIPLE makes a wheel
for another one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    except ImportError:  # run as a command, where hatchling is not needed
        BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "native" / "src" / "core.zig"

# Zig target -> platform tag of its wheel. The Linux file names no libc at all, so it serves glibc and musl alike.
TARGETS = {
    "x86_64-linux-gnu.2.17": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}
WHEEL_TAG = "cp311-abi3"


def host_target() -> str:
    """The Zig target of the machine this runs on; a ValueError names those that there are."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"linux": "linux-gnu.2.17", "darwin": "macos.11.0", "win32": "windows-gnu"}.get(sys.platform, sys.platform)
    target = f"{machine}-{system}"
    if target not in TARGETS:
        msg = f"otelbridge has no native core for {target}; there is one for {', '.join(TARGETS)}"
        raise ValueError(msg)
    return target


def extension_name(target: str) -> str:
    """Name of the extension module's file, which every CPython >= 3.11 of that system loads."""
    return "_native.pyd" if "windows" in target else "_native.abi3.so"


def compile_native(target: str, out: Path, mode: str = "ReleaseFast") -> None:
    """Compile the core for `target` to the file `out`, replacing it in one step."""
    zig = [sys.executable, "-m", "ziglang"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="otelbridge-") as folder:
        made = Path(folder) / out.name
        command = [*zig, "build-lib", "-dynamic", "-fPIC", "-O", mode, "-target", target, "--name", "_native"]
        command += [f"-femit-bin={made}", str(SOURCE)]
        if mode == "ReleaseFast":
            command.append("-fstrip")
        if "windows" in target:
            library = Path(folder) / "python3.lib"
            definition = ROOT / "native" / "python3.def"
            machine = "i386:x86-64" if target.startswith("x86_64") else "arm64"
            arguments = ["-m", machine, "-d", str(definition), "-l", str(library), "-D", "python3.dll"]
            subprocess.run([*zig, "dlltool", *arguments], check=True)
            command += ["-fno-emit-implib", str(library)]
        else:
            command.append("-fallow-shlib-undefined")
        if "linux" in target:
            command.append(f"-fsoname={out.name}")
        subprocess.run(command, check=True)
        # A new file beside the old one, then a rename: a process that has the old one loaded keeps it.
        fresh = out.with_name(f".{out.name}.{os.getpid()}")
        fresh.write_bytes(made.read_bytes())
        fresh.chmod(0o755)
        fresh.replace(out)


class ZigBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # generic only for the type checker
    """Puts the compiled core into the wheel, or beside the sources of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tag the wheel for the target."""
        target = os.environ.get("OTELBRIDGE_TARGET") or host_target()
        if target not in TARGETS:
            msg = f"OTELBRIDGE_TARGET must be one of {', '.join(TARGETS)}, got {target!r}"
            raise ValueError(msg)
        name = extension_name(target)
        build_data["pure_python"] = False
        if version == "editable":
            compile_native(target, ROOT / "otelbridge" / name)
            return
        built = Path(self.directory) / "native" / target / name
        compile_native(target, built)
        build_data["tag"] = f"{WHEEL_TAG}-{TARGETS[target]}"
        build_data["force_include"][str(built)] = f"otelbridge/{name}"


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description="Compile the native core of otelbridge.")
    parser.add_argument("--target", choices=TARGETS, default=None, help="default: this machine")
    parser.add_argument("--out", type=Path, default=None, help="default: in place, beside the package's sources")
    parser.add_argument("--mode", choices=("ReleaseFast", "ReleaseSafe", "Debug"), default="ReleaseFast")
    arguments = parser.parse_args()
    target = arguments.target or host_target()
    compile_native(target, arguments.out or ROOT / "otelbridge" / extension_name(target), arguments.mode)


if __name__ == "__main__":
    main()
