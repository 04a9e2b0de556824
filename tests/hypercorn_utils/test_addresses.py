"""Addresses of real sockets, as a pair or a path, and as text."""

from __future__ import annotations

import socket
from pathlib import Path

import hypercorn.utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.hypercorn.utils import parse_socket_addr, repr_socket_addr

PORTS = st.integers(0, 65535)


@pytest.mark.covers("2.7")
@settings(deadline=None)
@given(host=st.ip_addresses(v=4).map(str), port=PORTS)
def test_an_ipv4_address_stays_as_it_is(host: str, port: int) -> None:
    """As Hypercorn: the pair."""
    parsed = parse_socket_addr(socket.AF_INET, (host, port))

    assert parsed == hypercorn.utils.parse_socket_addr(socket.AF_INET, (host, port)) == (host, port)


@pytest.mark.covers("2.7")
@settings(deadline=None)
@given(host=st.ip_addresses(v=6).map(str), port=PORTS, flow=st.integers(0, 9), scope=st.integers(0, 9))
def test_an_ipv6_address_loses_flow_and_scope(host: str, port: int, flow: int, scope: int) -> None:
    """As Hypercorn: host and port of four."""
    address = (host, port, flow, scope)

    parsed = parse_socket_addr(socket.AF_INET6, address)

    assert parsed == hypercorn.utils.parse_socket_addr(socket.AF_INET6, address) == (host, port)


@pytest.mark.covers("2.7", note="the address of a Unix socket is its path; Hypercorn gives None")
def test_a_unix_address_is_its_path(tmp_path: Path) -> None:
    """What the kernel says of a bound socket; of an abstract one too, which it names in bytes; of a nameless one ''."""
    path = str(tmp_path / "s")
    abstract = f"\0otelbridge-{tmp_path}"

    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX) as hidden:
        bound.bind(path)
        hidden.bind(abstract)

        assert parse_socket_addr(bound.family, bound.getsockname()) == path
        assert parse_socket_addr(hidden.family, hidden.getsockname()) == abstract
    with socket.socket(socket.AF_UNIX) as nameless:
        assert parse_socket_addr(nameless.family, nameless.getsockname()) == ""


@pytest.mark.covers("2.7")
def test_an_address_of_another_family_is_none() -> None:
    """As Hypercorn: it has no host, port or path."""
    assert parse_socket_addr(socket.AF_NETLINK, (0, 0)) is None


@pytest.mark.covers(
    "2.8", note="a Unix socket's text is `unix:/run/s`, as Hypercorn and its --bind write it; not `/run/s`"
)
def test_addresses_as_text() -> None:
    """Hypercorn's own function."""
    assert repr_socket_addr is hypercorn.utils.repr_socket_addr
    assert repr_socket_addr(socket.AF_INET, ("192.168.1.100", 8000)) == "192.168.1.100:8000"
    assert repr_socket_addr(socket.AF_INET6, ("::1", 8000, 0, 0)) == "[::1]:8000"
    assert repr_socket_addr(socket.AF_UNIX, "/run/s") == "unix:/run/s"  # type: ignore[arg-type]  # declared a tuple
