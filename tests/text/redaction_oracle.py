"""What the core's redact_text must do, said with slow regular expressions. Works on UTF-8 bytes, as the core does."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

VALUE, URL = "[REDACTED]", "REDACTED"


class Found(NamedTuple):
    begin: int
    end: int
    mark: str = VALUE


def redacted(text: str, asked: Collection[str], is_secret: Callable[[str], bool]) -> str:
    """`text` without its secrets: of two that overlap the one that shows first is taken."""
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    clean = _redacted(raw, asked, lambda name: is_secret(name.encode("latin-1").decode("utf-8", "surrogatepass")))
    return clean.encode("latin-1").decode("utf-8", "surrogatepass")


def _redacted(text: str, asked: Collection[str], is_secret: Callable[[str], bool]) -> str:
    out = ""
    at = done = floor = 0
    url_end = 0
    name_begin: int | None = None
    while at < len(text):
        found = next((secret for name in asked if (secret := DETECTORS[name](text, at, floor))), None)
        byte = text[at]
        if found is None and byte in ":?" and at >= url_end and (byte == "?" or text.startswith("://", at)):
            is_quoted = byte == "?" or _quotation_before(text, at, floor) == "'"
            url_end = at + len(_match(r"[^\x00-\x20\x7f\"<>`']*" if is_quoted else r"[^\x00-\x20\x7f\"<>`]*", text, at))
            name_begin = None
        if found is None and at < url_end:
            if text.startswith("://", at):
                at += 3
                size = _credentials_size(text[at:url_end])
                mark = f"{URL}:{URL}" if ":" in text[at : at + size] else URL
                if size:
                    floor = at + size
                if size and text[at : at + size] != mark:
                    found = Found(at, at + size, mark)
                elif not found:
                    continue
            elif byte in "?&;#":
                name_begin = at + 1
            elif byte == "=" and name_begin is not None:
                name, name_begin = text[name_begin:at], None
                value = re.sub(r"[).,\]};:!\\]+\Z", "", _match(r"[^&#]*", text[:url_end], at + 1))
                if name and value not in ("", URL, VALUE[:-1]) and is_secret(name):
                    found = Found(at + 1, at + 1 + len(value), URL)
        if found is None:
            at += 1
            continue
        out += text[done : found.begin] + found.mark
        at = done = floor = found.end
    return out + text[done:]


def _match(pattern: str, text: str, at: int) -> str:
    match = re.compile(pattern).match(text, at)
    return "" if match is None else match[0]


def _quotation_before(text: str, at: int, floor: int) -> str:
    scheme = re.search(r"[A-Za-z0-9+.-]*\Z", text[min(floor, at) : at])
    assert scheme is not None
    begin = at - len(scheme[0])
    return text[begin - 1 : begin]


def _credentials_size(rest: str) -> int:
    authority = _match(r"[^/?#]*", rest, 0)
    if "@" in authority:
        return authority.rindex("@")
    host, colon, port = authority.partition(":")
    if not colon or host.startswith("[") or re.fullmatch(r"[0-9]*", port):
        return 0
    at = rest.partition("://")[0].find("@")
    return at + _match(r"[^/?#]*", rest, at).rindex("@") if at >= 0 else 0


# ------------------------------------------------------------------------------------------------- value detectors

_END = r"(?![A-Za-z0-9_])(?!\.[0-9])"
_CARDS = [
    r"[2-689][0-9]{12,18}" + _END,
    r"[2-689][0-9]{3}([ -])[0-9]{6}\1[0-9]{4,5}" + _END,
    r"[2-689][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}" + _END,
    r"[2-689][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}" + _END,
]


def _card(text: str, at: int, floor: int) -> Found | None:
    is_inside = re.search(r"[A-Za-z0-9_]\Z", _before(text, at, floor))
    is_fraction = floor < at and re.search(r"[0-9]\.\Z", text[:at])
    if text[at] not in "0123456789" or is_inside or is_fraction:
        return None
    for pattern in _CARDS:
        number = _match(pattern, text, at)
        digits = [int(digit) for digit in re.sub("[ -]", "", number)]
        if 13 <= len(digits) <= 19 and _luhn(digits):
            return Found(at, at + len(number))
    return None


def _luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def _bearer(text: str, at: int, floor: int) -> Found | None:
    match = re.compile(r"bearer +([A-Za-z0-9._~+/-]*)(=*)", re.I | re.A).match(text, at)
    if match is None or re.search(r"[A-Za-z0-9_]\Z", _before(text, at, floor)):
        return None
    token = match[1] if match[2] else match[1].rstrip(".")
    is_prose = len(token) < 20 and re.fullmatch(r"[A-Za-z]*", token)
    return None if is_prose or len(token) < 6 else Found(match.start(1), match.start(1) + len(token + match[2]))


def _jwt(text: str, at: int, floor: int) -> Found | None:
    part = r"[A-Za-z0-9_-]"
    if re.search(part + r"\Z", _before(text, at, floor)):
        return None
    token = _match(rf"eyJ{part}{{5,}}\.{part}*\.{part}*(\.{part}+(\.{part}*)?)?", text, at)
    return Found(at, at + len(token)) if token else None


def _aws(text: str, at: int, floor: int) -> Found | None:
    key = _match(r"(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9_])", text, at)
    is_inside = re.search(r"[A-Za-z0-9_]\Z", _before(text, at, floor))
    return Found(at, at + 20) if key and not is_inside else None


def _private_key(text: str, at: int, floor: int) -> Found | None:
    begin = _armour("BEGIN", text, at)
    if not begin:
        return None
    ends = (i + len(_armour("END", text, i)) for i in range(at + len(begin), len(text)) if _armour("END", text, i))
    return Found(at, next(ends, len(text)))


def _armour(word: str, text: str, at: int) -> str:
    line = _match(rf"-----{word} ((?!-----)[\s\S]){{0,43}}-----", text, at)
    return line if line.endswith(("PRIVATE KEY-----", "PRIVATE KEY BLOCK-----")) else ""


def _email(text: str, at: int, floor: int) -> Found | None:
    if text[at] != "@":
        return None
    local = re.search(r"[A-Za-z0-9._%+-]*\Z", _before(text, at, floor))
    assert local is not None
    name = local[0].lstrip(".")
    domain = _match(r"[A-Za-z0-9.-]+\.[A-Za-z]{2,}(?![A-Za-z0-9-])", text, at + 1)
    return Found(at - len(name), at + 1 + len(domain)) if name and domain else None


def _before(text: str, at: int, floor: int) -> str:
    return text[floor:at] if floor < at else ""


DETECTORS = {
    "card": _card,
    "bearer": _bearer,
    "jwt": _jwt,
    "aws": _aws,
    "private_key": _private_key,
    "email": _email,
}
