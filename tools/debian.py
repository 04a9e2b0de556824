"""Programs that come from Debian's packages, installed when they are missing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from tools.command import run_logged
from tools.places import cache_folder
from tools.progress import ToolError, stage


def ensure(packages: Mapping[str, str]) -> None:
    """Have programs installed, each from the package that *packages* names; `ToolError`: there is no apt-get."""
    missing = sorted({package for program, package in packages.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ToolError(f"{' and '.join(missing)} must be installed, and there is no apt-get to do it here")
    log = cache_folder() / "apt.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with stage(f"installing {' and '.join(missing)} from Debian"):
        run_logged(["apt-get", "update", "-qq"], log, changes=quiet)
        run_logged(["apt-get", "install", "-y", "--no-install-recommends", *missing], log, changes=quiet)
