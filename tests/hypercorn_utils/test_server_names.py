"""Which Host is one of `server_names`: more than Hypercorn takes, never less."""

from __future__ import annotations

import time

import hypercorn.utils
import pytest
from hypercorn.config import Config
from hypercorn.protocol.events import Request
from hypercorn.typing import ConnectionState
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otelbridge.hypercorn.utils import valid_server_name


class MockRequest:
    """The document's own: headers are a dict of str."""

    def __init__(self, host: str | None) -> None:
        self.headers = {} if host is None else {"host": host}


def request_for(host: bytes | None) -> Request:
    """What Hypercorn passes, with another header before and a second Host after."""
    headers = [(b"x-before", b"example.com")]
    if host is not None:
        headers += [(b"Host", host), (b"host", b"second.example")]
    return Request(1, headers, "1.1", "GET", b"/", ConnectionState({}))


def config_of(*names: str) -> Config:
    config = Config()
    config.server_names = list(names)
    return config


def is_valid(config: Config, host: str | None) -> bool:
    """The answer for `host`, which is the same for both kinds of request."""
    by_bytes = valid_server_name(config, request_for(None if host is None else host.encode()))
    assert valid_server_name(config, MockRequest(host)) is by_bytes
    return by_bytes


@pytest.mark.covers("2.12", note="names take wildcards and ports; a name without a port is for any port")
@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        (
            "example.com",
            ["example.com", "example.com:8443", "EXAMPLE.com", "example.com.", "example.com.:80", "example.com:"],
            ["api.example.com", "example.com.evil", "example.co", "evil-example.com", "example.com:80x",
             "example.com..", "example.com:²", "example.com@evil", "evil/example.com", ""],
        ),
        ("Example.COM.", ["example.com", "example.com:1"], ["example"]),
        (
            "*.example.com",
            ["a.example.com", "a.b.example.com", "A.Example.Com.:80", "a-b_c.example.com"],
            ["example.com", ".example.com", "a..example.com", "a/b.example.com", "evil.com/.example.com",
             "a.example.co", "a@b.example.com", "a:80.example.com", "aexample.com", "*.com", "a b.example.com"],
        ),
        ("example.com:8443", ["example.com:8443", "EXAMPLE.COM.:8443"], ["example.com", "example.com:8444"]),
        ("*.example.com:80", ["a.example.com:80"], ["a.example.com", "a.example.com:81", "example.com:80"]),
        ("*", ["example.com", "a:80", "[::1]:80", "10.0.0.1"], [""]),
        ("*:8443", ["example.com:8443", "[::1]:8443"], ["example.com", "example.com:80"]),
        ("127.0.0.1", ["127.0.0.1", "127.0.0.1:80"], ["127.0.0.11", "127.0.0"]),
        ("::1", ["[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]:80", "::1"], ["[::2]", "[::1]80", "[::1", "::1]", "[::1x:80"]),
        ("[2001:DB8::1]:443", ["[2001:db8:0::1]:443"], ["[2001:db8::1]", "[2001:db8::1]:80", "2001:db8::1:443"]),
        ("localhost", ["localhost", "localhost:5000"], ["localhost.evil.com", "local"]),
        ("api.*.com", ["api.*.com"], ["api.example.com"]),
        ("*example.com", ["*example.com"], ["aexample.com", "a.example.com"]),
        ("*.*.com", ["*.*.com"], ["a.b.com"]),
    ],
)  # fmt: skip
def test_hosts_that_a_name_stands_for(name: str, valid: list[str], invalid: list[str]) -> None:
    """Case, a trailing dot and the way an IPv6 address is written do not matter; labels, ports and all else do."""
    config = config_of("other.example", name)

    assert [host for host in valid if not is_valid(config, host)] == []
    assert [host for host in invalid if is_valid(config, host)] == []


@pytest.mark.covers("2.12")
def test_without_names_every_host_is_valid() -> None:
    """The default; a request without a Host too."""
    assert is_valid(Config(), "anything")
    assert is_valid(Config(), None)


@pytest.mark.covers("2.12")
@pytest.mark.parametrize("name", ["example.com", "*.example.com", "*"])
def test_a_missing_host_is_invalid_when_there_are_names(name: str) -> None:
    """Even where any host would do."""
    assert not is_valid(config_of(name), None)


@pytest.mark.covers("2.12")
def test_the_first_host_counts() -> None:
    """As in Hypercorn: a second Host header changes nothing."""
    assert not is_valid(config_of("second.example"), "first.example")


@pytest.mark.covers("2.12")
def test_names_that_change_count_at_once() -> None:
    """What a config was asked before does not stay when its names are replaced or changed in place."""
    config = config_of("*.example.com")
    assert is_valid(config, "a.example.com")

    config.server_names.append("*.example.org")
    assert is_valid(config, "a.example.org")

    config.server_names = ["*.example.net"]
    assert not is_valid(config, "a.example.org")


@pytest.mark.covers("2.12", note="server_names given as one str is one name; Hypercorn finds any part of it valid")
def test_a_single_name_that_is_no_list_is_one_name() -> None:
    """`server_names = "example.com"` in a config file does not make "com" valid."""
    config = Config()
    config.server_names = "example.com"  # type: ignore[assignment]  # what TOML gives

    assert is_valid(config, "example.com:80")
    assert not is_valid(config, "com")


hosts = st.one_of(
    st.text("ab.*:[]1 /", max_size=12),
    st.text(max_size=20),
    st.sampled_from(["a.b", "*.a.b", "a.b:1", "[::1]:1", "::1", "A.B."]),
)


@pytest.mark.covers("2.12")
@settings(deadline=None)
@given(names=st.lists(hosts, max_size=4), host=hosts)
@example(names=["bücher.example"], host="bücher.example")
@example(names=[""], host="")
@example(names=["a:b:c"], host="a:b:c")
def test_what_hypercorn_takes_is_taken(names: list[str], host: str) -> None:
    """Whatever the names and the host: never an error, and never a No where Hypercorn says Yes."""
    config = config_of(*names)
    try:
        request = request_for(host.encode())
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return

    ours = valid_server_name(config, request)

    assert ours or not hypercorn.utils.valid_server_name(config, request)


@pytest.mark.covers("2.12")
@settings(deadline=None)
@given(st.binary())
def test_any_bytes_of_a_host_have_an_answer(host: bytes) -> None:
    """Hypercorn raises UnicodeDecodeError where the bytes are no UTF-8; here that is a No."""
    assert valid_server_name(config_of("*.example.com", "a"), request_for(host)) in (True, False)


@pytest.mark.covers("2.12")
def test_a_long_host_is_answered_fast() -> None:
    """As much as fits into a request costs no more than a moment, whatever it holds."""
    config = config_of("example.com", "*.example.com", *(f"*.{number}.example.com" for number in range(50)))
    attacks = [
        "a." * 30_000,
        "a" * 60_000 + "!.example.com",
        "-." * 30_000 + "example.com",
        ":" * 60_000,
        "example.com:" + "1" * 60_000,
    ]

    start_s = time.monotonic()
    answers = [is_valid(config, host) for host in attacks]

    assert answers == [False, False, True, False, False]
    assert time.monotonic() - start_s < 2.0
