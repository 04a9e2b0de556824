"""A Docker daemon of our own, for the tests of docker-compose.yml: of Debian's packages, in a folder, gone afterwards.

No registry is asked for anything: an image is made of a static binary, or of Debian packages. What is tested in it is
not known here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools import debian
from tools.backends import binary
from tools.command import reason, run_logged
from tools.places import cache_folder, locked
from tools.progress import ToolError, say, stage

PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"}
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What a container is to know of this machine's way to PyPI.
PASSED_ON = ("PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# The stand-in for an image python:*-slim. It has Debian's Python, with which Dockerfile has to get along as well.
DEBIAN = "bookworm"
PYTHON_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"


class Docker:
    """A running daemon, and the programs that talk to it."""

    def __init__(self, socket: Path) -> None:
        # BuildKit's client is a program of its own, which Debian does not have: the daemon's own builder builds.
        self._env = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}

    def run(self, *arguments: str | Path, timeout_s: float = 300.0) -> str:
        """What `docker ARGUMENTS` prints; a `ToolError` if it fails."""
        return self._call(["docker", *arguments], {}, timeout_s)

    def compose(
        self, *arguments: str | Path, changes: Mapping[str, str] | None = None, timeout_s: float = 500.0
    ) -> str:
        """What `docker compose ARGUMENTS` prints, with *changes* in its environment; a `ToolError` if it fails."""
        return self._call([binary("docker-compose"), *arguments], changes or {}, timeout_s)

    def pack(self, tag: str, program: Path, place: str) -> None:
        """Make the image *tag* of nothing but the static *program*, at *place*."""
        with tempfile.TemporaryDirectory(prefix="otelbridge-image-") as scratch:
            context = Path(scratch)
            inside = context / "root" / place.lstrip("/")
            inside.parent.mkdir(parents=True)
            (context / "root" / "tmp").mkdir(exist_ok=True)
            os.chmod(context / "root" / "tmp", 0o1777)
            shutil.copy2(program, inside)
            (context / "Dockerfile").write_text(f'FROM scratch\nCOPY root/ /\nENTRYPOINT ["{place}"]\n', "utf-8")
            self.run("build", "--quiet", "--tag", tag, context)

    def stand_in(self, tag: str) -> None:
        """Make the image *tag* of Debian packages: Python, pip, venv."""
        settings = [f"ENV {name}={os.environ[name]}" for name in PASSED_ON if os.environ.get(name)]
        changes = [f"--change={setting}" for setting in (f"ENV PIP_CERT={CERTIFICATES}", *settings)]
        self.run("import", *changes, _debian_with_python(), tag)

    def _call(self, command: list[str | Path], changes: Mapping[str, str], timeout_s: float) -> str:
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words,
                env={**self._env, **changes},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"{' '.join(words[:4])} … had not ended after {timeout_s:g} s") from error
        if done.returncode != 0:
            told = (done.stderr + done.stdout).decode(errors="replace").splitlines()
            raise ToolError(f"{' '.join(words)} exited with {done.returncode}:\n" + "\n".join(told[-30:]))
        return done.stdout.decode()


@contextmanager
def daemon() -> Iterator[Docker]:
    """Run a daemon of our own while the block lasts; this machine's firewall rules are afterwards what they were."""
    ensure_installed()
    folder = Path(tempfile.mkdtemp(prefix="otelbridge-docker-"))
    rules = _output("iptables-save")
    log = folder / "dockerd.log"
    socket = folder / "docker.sock"
    command = ["dockerd", f"--host=unix://{socket}", f"--pidfile={folder / 'pid'}"]
    command += [f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}"]
    # No docker0: compose makes networks of its own. Their packets must fit through what this machine has.
    command += ["--bridge=none", f"--mtu={_mtu()}"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        docker = Docker(socket)
        _await_start(docker, process, log)
        try:
            yield docker
        finally:
            _remove_all(docker)
    finally:
        process.terminate()  # ends what still runs in it, too
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        subprocess.run(["iptables-restore"], input=rules, check=False)
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def ensure_installed() -> None:
    """Have Docker and debootstrap installed; a `ToolError` says what is in the way."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ToolError("a Docker daemon of our own needs Linux and root: run `make full` as root")
    debian.ensure(PACKAGES)


def _await_start(docker: Docker, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            docker.run("version")
            return
        except ToolError as error:
            if process.poll() is not None or time.monotonic() > deadline_s:
                lines = log.read_text("utf-8", "replace").splitlines()
                raise ToolError(f"Docker's daemon does not start here: {reason(lines)}") from error
        time.sleep(0.1)


def _remove_all(docker: Docker) -> None:
    """Remove what would outlive the daemon: containers' mounts and networks' bridges."""
    containers = docker.run("ps", "--all", "--quiet").split()
    if containers:
        docker.run("rm", "--force", "--volumes", *containers)
    docker.run("network", "prune", "--force")


def _unmount(folder: Path) -> None:
    """Unmount what is mounted below *folder*: the daemon leaves a network namespace behind."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", mount], check=False)


def _debian_with_python() -> Path:
    """A file system of Debian packages with Python, as an archive in the cache."""
    recipe = f"{DEBIAN} {PYTHON_PACKAGES}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    archive = cache_folder() / "docker" / f"python-{digest}.tar"
    with locked(archive.parent / ".lock", "collecting Debian packages"):
        if archive.exists():
            return archive
        say("a stand-in for Python's image is made of Debian packages, once: about 90 MB are downloaded")
        with tempfile.TemporaryDirectory(prefix="otelbridge-debian-") as scratch:
            root = Path(scratch) / "root"
            log = archive.with_suffix(".log")
            with stage("collecting Debian packages"):
                options = ["--variant=minbase", f"--include={PYTHON_PACKAGES}"]
                run_logged(["debootstrap", *options, DEBIAN, root], log)
            # The authorities that this machine trusts: a proxy's may be among them.
            shutil.copyfile(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
            fresh = archive.with_suffix(".part")
            left_out = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
            run_logged(["tar", "--create", f"--file={fresh}", *left_out, f"--directory={root}", "."], log)
            os.replace(fresh, archive)
    return archive


def _mtu() -> int:
    """The least that an interface of this machine carries in one packet."""
    sizes = [int(path.read_text()) for path in Path("/sys/class/net").glob("*/mtu")]
    return min([1500, *(size for size in sizes if size >= 1280)])


def _output(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout
