"""What an access line of Hypercorn's may name of a request: `%(h)s`, `%({Referer}i)s`. Leaves whole lines to `format`.

Hypercorn's own atoms are a dict that is filled for each request, with the whole environment in it (pains.md F2,
features.md T9). Here an atom is made when it is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from http import HTTPStatus
from typing import Any, ClassVar

from otelbridge.access.atoms import time_text
from otelbridge.access.record import AccessRecord
from otelbridge.text.tracebacks import safe_str

ABSENT = "-"

# Where an app, or the middleware in front of it, says who the client has shown to be.
_USER_NAMES = ("username", "display_name", "name", "sub", "id")

Atom = Callable[["AccessLogAtoms"], Any]


class AccessLogAtoms(dict[str, Any]):
    """One request by atoms, with Hypercorn's meaning (features.md 0.9-0.11); what is unknown or absent is `-`.

    h client as `ip:port` · l `-` · u the user whom the app has authenticated (`scope["user"]`, or `user` in the scope's
    state; never what the client merely claims) · t time of the end, with brackets · r `GET /a 1.1` · R the same with
    query · s status · st its phrase · S scheme · m method · U path · Uq path and query · q query · H version · b B
    Content-Length of the answer · f referer · a user agent · T D L duration in whole s, whole µs, s with six decimals ·
    p `<pid>` · P pid · {name}i {name}o header of the request, of the answer · {NAME}e environment variable; the names
    in braces in any case.

    A dict, to which atoms of one's own may be added. Its keys are the atoms and the headers of this request; the
    environment is in none of its views. request: the scope; response: None if the client left before the answer;
    request_time: seconds. Nothing here raises, whatever a client sent.
    """

    _atoms: ClassVar[Mapping[str, Atom]]

    def __init__(self, request: Any, response: Any, request_time: float) -> None:
        # One that never changes, so that nobody (the json module) takes this for an empty dict.
        super().__init__(l=ABSENT)
        self.request = request
        self.response = response
        self.request_time = request_time

    def __getitem__(self, key: str) -> Any:
        found = self._find(key.lower() if key.startswith("{") else key)
        return ABSENT if found is None else found

    def _find(self, key: str) -> Any:
        """Return the atom; None if there is none. What was set is what it is."""
        if dict.__contains__(self, key):
            return dict.__getitem__(self, key)
        try:
            if key.startswith("{"):
                return self._named(key[1:-2], key[-2:])
            atom = self._atoms.get(key)
            return None if atom is None else atom(self)
        except Exception:
            return None  # no scope of any server

    def _named(self, name: str, kind: str) -> str | None:
        if kind == "}i":
            return _header(self.request["headers"], name)
        if kind == "}o":
            return None if self.response is None else _header(self.response.get("headers", ()), name)
        return _variable(name) if kind == "}e" else None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key.lower() if key.startswith("{") else key) is not None

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys((*dict.__iter__(self), *self._atoms))
        names.update(dict.fromkeys(self._header_names()))
        return iter(names)

    def _header_names(self) -> list[str]:
        try:
            answered = () if self.response is None else self.response.get("headers", ())
            return [
                f"{{{name.decode('latin1').lower()}}}{kind}"
                for headers, kind in ((self.request["headers"], "i"), (answered, "o"))
                for name, _ in headers
            ]
        except Exception:
            return []  # as above

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        # logging asks it of each record's arguments.
        return True

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # a view, but not dict's own
        """The atoms and headers by name."""
        return KeysView(self)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """The same with their values."""
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Their values."""
        return ValuesView(self)

    def get(self, key: str, default: Any = None) -> Any:
        """Return an atom, or `default` where there is none."""
        found = self._find(key.lower() if key.startswith("{") else key)
        return default if found is None else found

    def copy(self) -> dict[str, Any]:
        """Return a plain dict of all."""
        return dict(self.items())

    def __eq__(self, other: object) -> bool:
        return dict(self.items()) == (dict(other.items()) if isinstance(other, AccessLogAtoms) else other)

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class ApacheAtoms(AccessLogAtoms):
    """The same by Apache's names, as Hypercorn's documents describe them: `atoms_style = "apache"`.

    Where it differs: h bare host · t time of the start · r R `GET /a HTTP/1.1` · H `HTTP/1.1` · b bytes of the body
    (`-` for none; as they were sent where the app is instrumented, else by Content-Length) · B the same, 0 for none ·
    p port of the server.
    """


# ------------------------------------------------------------------------------------------------ what Hypercorn says


def _header(headers: Any, wanted: str) -> str | None:
    """Return the last header of that name, as Hypercorn's dict keeps it."""
    found: bytes | None = None
    for name, value in headers:
        if name.decode("latin1").lower() == wanted:
            found = value
    return None if found is None else found.decode("latin1")


def _variable(name: str) -> str | None:
    """Return one variable of the environment, in any case."""
    for spelling in (name.upper(), name):
        if spelling in os.environ:
            return os.environ[spelling]
    return next((value for found, value in os.environ.items() if found.lower() == name), None)


def _client(atoms: AccessLogAtoms) -> str | None:
    client = atoms.request.get("client")
    if client is None:
        return None
    if len(client) == 2:
        return f"{client[0]}:{client[1]}"
    return str(client[0]) if len(client) == 1 else f"<???{client}???>"


def _user(atoms: AccessLogAtoms) -> str | None:
    state = atoms.request.get("state") or {}
    for user in (atoms.request.get("user"), state.get("user")):
        name = _name_of(user)
        if name:
            return name
    return None


def _name_of(user: Any) -> str | None:
    if user is None or isinstance(user, str):
        return user
    if isinstance(user, Mapping):
        found = next((user[name] for name in _USER_NAMES if user.get(name)), None)
        return None if found is None else safe_str(found)
    if getattr(user, "is_authenticated", True) is False:
        return None
    for name in _USER_NAMES:
        try:
            found = getattr(user, name, None)
        except Exception:
            continue  # a property that needs more than we have (Starlette's BaseUser, an ORM's row)
        if found and isinstance(found, str | int):
            return str(found)
    return None


def _method(atoms: AccessLogAtoms) -> str:
    return str(atoms.request["method"]) if atoms.request["type"] == "http" else "GET"


def _path(atoms: AccessLogAtoms) -> str:
    return str(atoms.request["path"])


def _query(atoms: AccessLogAtoms) -> str:
    # Hypercorn's raises for bytes that are no UTF-8 (pains.md F8).
    return str(atoms.request["query_string"].decode("utf-8", "backslashreplace"))


def _path_and_query(atoms: AccessLogAtoms) -> str:
    query = _query(atoms)
    return f"{_path(atoms)}?{query}" if query else _path(atoms)


def _protocol(atoms: AccessLogAtoms) -> str:
    return str(atoms.request.get("http_version", "ws"))


def _status(atoms: AccessLogAtoms) -> str | None:
    return None if atoms.response is None else str(atoms.response["status"])


def _phrase(atoms: AccessLogAtoms) -> str | None:
    if atoms.response is None:
        return None
    try:
        return HTTPStatus(atoms.response["status"]).phrase
    except ValueError:
        return f"<???{atoms.response['status']}???>"


def _length(atoms: AccessLogAtoms) -> Any:
    return atoms["{content-length}o"]


def _pid(_: AccessLogAtoms) -> str:
    return str(os.getpid())


_HYPERCORNS: dict[str, Atom] = {
    "h": _client,
    "u": _user,
    # Not strftime: its names of months are the locale's.
    "t": lambda _: time_text(int(time.time())),
    "r": lambda atoms: f"{_method(atoms)} {_path(atoms)} {_protocol(atoms)}",
    "R": lambda atoms: f"{_method(atoms)} {_path_and_query(atoms)} {_protocol(atoms)}",
    "s": _status,
    "st": _phrase,
    "S": lambda atoms: atoms.request["scheme"],
    "m": _method,
    "U": _path,
    "Uq": _path_and_query,
    "q": _query,
    "H": _protocol,
    "b": _length,
    "B": _length,
    "f": lambda atoms: atoms["{referer}i"],
    "a": lambda atoms: atoms["{user-agent}i"],
    "T": lambda atoms: int(atoms.request_time),
    "D": lambda atoms: int(atoms.request_time * 1_000_000),
    "L": lambda atoms: f"{atoms.request_time:.6f}",
    "p": lambda _: f"<{os.getpid()}>",
    "P": _pid,
}

# --------------------------------------------------------------------------------------------------- what Apache says


def _host(atoms: AccessLogAtoms) -> str | None:
    client = atoms.request.get("client")
    return str(client[0]) if client else None


def _port(atoms: AccessLogAtoms) -> str | None:
    server = atoms.request.get("server")
    return str(server[1]) if server and len(server) > 1 and server[1] is not None else None


def _named_protocol(atoms: AccessLogAtoms) -> str:
    # A handshake is HTTP. Apache's names have a minor version: HTTP/2.0.
    version = str(atoms.request.get("http_version") or "1.1")
    return f"HTTP/{version}" if "." in version else f"HTTP/{version}.0"


def _sent_size(atoms: AccessLogAtoms) -> int | None:
    record = (atoms.request.get("state") or {}).get("access_log")
    if isinstance(record, AccessRecord):
        return record.response_body_size
    length = str(_length(atoms))
    return int(length) if length.isascii() and length.isdecimal() else None


_APACHES: dict[str, Atom] = {
    **_HYPERCORNS,
    "h": _host,
    "t": lambda atoms: time_text(int(time.time() - atoms.request_time)),
    "r": lambda atoms: f"{_method(atoms)} {_path(atoms)} {_named_protocol(atoms)}",
    "R": lambda atoms: f"{_method(atoms)} {_path_and_query(atoms)} {_named_protocol(atoms)}",
    "H": _named_protocol,
    "b": lambda atoms: _sent_size(atoms) or None,
    "B": lambda atoms: _sent_size(atoms) or 0,
    "p": _port,
}

AccessLogAtoms._atoms = _HYPERCORNS
ApacheAtoms._atoms = _APACHES

STYLES: Mapping[str, type[AccessLogAtoms]] = {"hypercorn": AccessLogAtoms, "apache": ApacheAtoms}
