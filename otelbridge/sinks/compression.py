"""What becomes of a log file that is closed: an archive beside it, which replaces it (features.md 1.15)."""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH104, PTH107, PTH110, PTH119, PTH122, PTH123

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Literal, cast

from otelbridge.sinks.locks import reserved
from otelbridge.sinks.paths import LogPath, dated_path

Compression = Callable[[LogPath], object]

_GZIP_LEVEL = 6  # a log at level 9 is 2 % smaller and takes twice as long, while the logger waits


def make_compression(spec: object) -> Compression | None:
    """The compression that `spec` asks for; None: files stay as they are.

    Takes the archive's extension (gz bz2 xz lzma zip tar tar.gz tar.bz2 tar.xz) or a function that is given the path.
    TypeError, ValueError: it is neither.
    """
    if spec is None:
        return None
    if isinstance(spec, str):
        extension = spec.strip().lstrip(".")
        pack = _PACKERS.get(extension)
        if pack is None:
            raise ValueError(f"unknown compression {spec!r}; expected one of {', '.join(_PACKERS)}")
        return _Archive(extension)
    if callable(spec):
        return spec
    raise TypeError(f"compression must be a str, a callable(path) or None, got {type(spec).__name__}")


class _Archive:
    """Packs a file and removes it. If packing fails the file stays, and no half of an archive."""

    def __init__(self, extension: str) -> None:
        self._extension = extension

    def __call__(self, path: LogPath) -> None:
        target = f"{path}.{self._extension}"
        if os.path.exists(target):
            root, extension = os.path.splitext(path)
            os.rename(target, dated_path(target, root, f"{extension}.{self._extension}"))
        with reserved(target, like=path):
            try:
                _PACKERS[self._extension](path, target)
            except BaseException:
                os.remove(target)
                raise
            os.remove(path)


def _copy(source: str, archive: IO[bytes]) -> None:
    from shutil import copyfileobj

    with open(source, "rb") as lines:
        copyfileobj(lines, archive, 1 << 18)


def _gz(path: str, target: str) -> None:
    import gzip

    with gzip.open(target, "wb", compresslevel=_GZIP_LEVEL) as archive:
        _copy(path, cast("IO[bytes]", archive))


def _bz2(path: str, target: str) -> None:
    import bz2

    with bz2.open(target, "wb") as archive:
        _copy(path, cast("IO[bytes]", archive))


def _xz(path: str, target: str) -> None:
    import lzma

    with lzma.open(target, "wb", format=lzma.FORMAT_XZ) as archive:
        _copy(path, archive)


def _lzma(path: str, target: str) -> None:
    import lzma

    with lzma.open(target, "wb", format=lzma.FORMAT_ALONE) as archive:
        _copy(path, archive)


def _zip(path: str, target: str) -> None:
    import zipfile

    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        archive.write(path, os.path.basename(path))


def _tar(mode: Literal["w", "w:gz", "w:bz2", "w:xz"]) -> Callable[[str, str], None]:
    def pack(path: str, target: str) -> None:
        import tarfile

        with tarfile.open(target, mode) as archive:
            archive.add(path, os.path.basename(path))

    return pack


_PACKERS: dict[str, Callable[[str, str], None]] = {
    "gz": _gz,
    "bz2": _bz2,
    "xz": _xz,
    "lzma": _lzma,
    "zip": _zip,
    "tar": _tar("w"),
    "tar.gz": _tar("w:gz"),
    "tar.bz2": _tar("w:bz2"),
    "tar.xz": _tar("w:xz"),
}
