"""What a directive of Apache's log format says of a request: `%h`, `%>s`, `%{Referer}i` (mod_log_config's meaning).

Everything that a client chose is escaped as Apache does it, so one request stays one line, and its secrets are hidden.
Leaves whole formats to `format`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote

from otelbridge.access.record import AccessRecord
from otelbridge.text.policy import ACTIVE

Atom = Callable[[AccessRecord], str]

ABSENT = "-"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OLD_VERSIONS = ("0.9", "1.0")
# What may stand in a path as it is (RFC 3986), and what redaction puts there.
_PATH_SAFE = "/:@!$&'()*+,;=~[]"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~-]+")
_NAMED = re.compile(r"\{([^{}]*)\}([A-Za-z])")
_NAMED_KINDS = "inT"
_DIVISORS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0x100))}
_ESCAPES |= {ord(character): f"\\{letter}" for character, letter in zip('\b\n\r\t\v"\\', 'bnrtv"\\', strict=True)}


class AccessAtoms(Mapping[str, str]):
    """A record by directives: `atoms["h"]`, `atoms[">s"]`, `atoms["{Referer}i"]`; each is made when it is asked for.

    As in Apache: h a client address, l u `-`, t time of the start, r request line, s >s status, b B bytes of the body
    (`-` or 0 for none), f `-`, D T duration (µs, s), U path, q query, m method, H protocol, X how it ended (X: before
    its end, +, -), P process id. I O are the bytes of the bodies: headers are not counted. `{name}i` is a request
    header that the record has (referer, user-agent, those of include_headers), `{name}n` an addition or the request_id,
    `{ms}T` the duration in s, ms or us. What is unknown is `-`. The query is there only if the record is to show it.
    KeyError: there is no such directive.
    """

    __slots__ = ("_record",)

    def __init__(self, record: AccessRecord) -> None:
        self._record = record

    def __getitem__(self, name: str) -> str:
        return atom(name)(self._record)

    def __iter__(self) -> Iterator[str]:
        return iter(_ATOMS)

    def __len__(self) -> int:
        return len(_ATOMS)


def atom(name: str) -> Atom:
    """Return what makes the directive `name` (without its `%`) of a record. KeyError: there is none."""
    found = _ATOMS.get(name)
    if found is not None:
        return found
    named = _NAMED.fullmatch(name)
    if named is None or named[2] not in _NAMED_KINDS:
        raise KeyError(name)
    argument, kind = named.groups()
    if kind == "i":
        return lambda record: _header(record, argument.lower())
    if kind == "n":
        return lambda record: _note(record, argument)
    divisor = _DIVISORS_NS.get(argument)
    if divisor is None:
        raise KeyError(name)
    return lambda record: str(record.duration_ns // divisor)


def escape_item(text: str) -> str:
    r"""Return `text` as Apache logs it: `\"`, `\\`, `\n` and its like; bytes that are no ASCII text become `\xhh`."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.encode("utf-8", "surrogatepass").decode("latin-1").translate(_ESCAPES)


def shown_query(record: AccessRecord) -> str:
    """Return `?` and the query without its secrets; "" where there is none, or it is not to be shown."""
    return "?" + ACTIVE.policy.query(record.query) if record.log_query and record.query else ""


def _word(text: str) -> str:
    """A text that is to stay one word."""
    return escape_item(text).replace(" ", "\\x20") or ABSENT


def _client(record: AccessRecord) -> str:
    return _word(record.client_address or "")


def _nothing(_: AccessRecord) -> str:
    return ABSENT


def _time(record: AccessRecord) -> str:
    return time_text(record.start_ns // 1_000_000_000)


@lru_cache(maxsize=16)
def time_text(second: int) -> str:
    """Return a second since the epoch as `[21/Nov/2026:18:00:00 +0000]`, in local time."""
    # Not strftime: its names of months are the locale's.
    moment = time.localtime(second)
    sign, minutes = ("-" if moment.tm_gmtoff < 0 else "+"), abs(moment.tm_gmtoff) // 60
    clock = f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    date = f"{moment.tm_mday:02d}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year}"
    return f"[{date}:{clock} {sign}{minutes // 60:02d}{minutes % 60:02d}]"


def _request(record: AccessRecord) -> str:
    """The first line of the request, its path encoded as it came over the wire."""
    path = ACTIVE.policy.text(record.path)
    if not _PLAIN_PATH.fullmatch(path):
        path = quote(path, safe=_PATH_SAFE, errors="surrogatepass") or ABSENT
    return f"{_method(record)} {path}{_query(record)} {_protocol(record)}"


def _query(record: AccessRecord) -> str:
    return escape_item(shown_query(record)).replace(" ", "%20")


def _method(record: AccessRecord) -> str:
    return _word(record.method)


def _path(record: AccessRecord) -> str:
    return escape_item(ACTIVE.policy.text(record.path)) or ABSENT


def _protocol(record: AccessRecord) -> str:
    # Apache's names have a minor version: HTTP/2.0.
    version = record.http_version if "." in record.http_version else record.http_version + ".0"
    return "HTTP/" + _word(version)


def _status(record: AccessRecord) -> str:
    return ABSENT if record.status is None else str(record.status)


def _header(record: AccessRecord, name: str) -> str:
    if name in ("referer", "user-agent"):
        value = record.referer if name == "referer" else record.user_agent
        if value is not None and not ACTIVE.policy.is_secret(name):
            return escape_item(ACTIVE.policy.text(value))
    else:
        values = record.headers.get(name)
        value = None if values is None else ", ".join(values)
    return ABSENT if value is None else _clean(name, value)


def _note(record: AccessRecord, name: str) -> str:
    """Apache's notes are what modules tell each other of a request: our additions."""
    value = record.request_id if name == "request_id" else record.additions().get(name)
    return ABSENT if value is None else _clean(name, value)


def _clean(name: str, value: object) -> str:
    return escape_item(str(ACTIVE.policy.values({name: value})[name]))


def _ending(record: AccessRecord) -> str:
    if record.ended_by == "client":
        return "X"
    return "-" if record.ended_by == "error" or record.http_version in _OLD_VERSIONS else "+"


_ATOMS: dict[str, Atom] = {
    "h": _client,
    "a": _client,
    "l": _nothing,
    "u": _nothing,
    "t": _time,
    "r": _request,
    "s": _status,
    ">s": _status,
    "b": lambda record: str(record.response_body_size or ABSENT),
    "B": lambda record: str(record.response_body_size),
    "f": _nothing,
    "D": lambda record: str(record.duration_ns // 1_000),
    "T": lambda record: str(record.duration_ns // 1_000_000_000),
    "U": _path,
    "q": _query,
    "m": _method,
    "H": _protocol,
    "X": _ending,
    "P": lambda _: str(os.getpid()),
    "I": lambda record: str(record.request_body_size),
    "O": lambda record: str(record.response_body_size),
}
