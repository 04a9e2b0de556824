"""Hypercorn's configuration, whose server logs through our `Logger`. Leaves every setting as it is.

In place of `hypercorn.config`: its other public names are here, too.
"""

from __future__ import annotations

from typing import Any, Literal

from hypercorn import config as theirs
from hypercorn.config import Sockets, SocketTypeError

from otelbridge.hypercorn.logging import Logger


class Config(theirs.Config):
    """`hypercorn.config.Config` with our Logger as its `logger_class`.

    atoms_style: what access formats mean, "hypercorn" or "apache" (see `atoms`); None: as the Logger's class says.
    May be pickled: each process makes its own `log`.
    """

    logger_class: type[Logger] = Logger
    atoms_style: Literal["hypercorn", "apache"] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_log"}


__all__ = ["Config", "SocketTypeError", "Sockets"]
