"""The atoms of a request are Hypercorn's, made one by one, whatever a client sent."""

from __future__ import annotations

import json
import os
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from hypercorn.logging import AccessLogAtoms as HypercornsAtoms
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.access.record import AccessRecord
from otelbridge.hypercorn.atoms import AccessLogAtoms, ApacheAtoms
from otelbridge.hypercorn.format import access_format
from tests.hypercorn.support import OK, http_scope

NAMES = ("h", "l", "r", "R", "s", "st", "S", "m", "U", "Uq", "q", "H", "b", "B", "f", "a", "T", "D", "L", "p")

latin = st.text(st.characters(max_codepoint=255), max_size=12)
headers = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(["Referer", "USER-AGENT", "content-length", "X-Id"]), latin).map(
            lambda text: text.encode("latin1")
        ),
        latin.map(lambda text: text.encode("latin1")),
    ),
    max_size=5,
)
clients = st.one_of(st.just(("h",)), st.just(("::1", 5)), st.just(("a", 1, 2)))
scopes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["http", "websocket"]),
        "method": st.sampled_from(["GET", "POST", "brew"]),
        "scheme": st.sampled_from(["http", "https", "ws"]),
        "path": st.text(max_size=10),
        "query_string": st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace")),
        "headers": headers,
        "client": clients,
    },
    optional={"http_version": st.sampled_from(["1.0", "1.1", "2", "3"])},
)
responses = st.one_of(
    st.none(), st.fixed_dictionaries({"status": st.integers(100, 999)}, optional={"headers": headers})
)


@pytest.mark.covers("0.9")
@pytest.mark.covers("0.10")
@given(scope=scopes, response=responses, seconds=st.floats(0, 1e6))
def test_each_atom_is_what_hypercorn_says(scope: dict[str, Any], response: Any, seconds: float) -> None:
    """
    For any scope, answer and duration, every atom and every header is what Hypercorn's own class has.
    """
    ours, theirs = AccessLogAtoms(scope, response, seconds), HypercornsAtoms(scope, response, seconds)  # type: ignore[arg-type]

    assert {name: ours[name] for name in NAMES} == {name: theirs[name] for name in NAMES}
    assert ours["t"][1:12] == theirs["t"][1:12]
    names = [name for name in theirs if name.startswith("{") and not name.endswith("}e")]
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}
    assert {name: ours[name.upper()] for name in names} == {name: theirs[name.upper()] for name in names}
    assert (ours["nothing"], ours["{nothing}i"], ours["{nothing}o"], ours["{nothing}e"]) == ("-",) * 4


@pytest.mark.covers("0.10")
def test_a_variable_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `{Name}e` is a variable of the environment as it is now, however either is spelled.
    """
    atoms = AccessLogAtoms(http_scope(), OK, 0)
    monkeypatch.setenv("Shop_Region", "eu")
    monkeypatch.setenv("SHOP_ZONE", "b")

    assert (atoms["{SHOP_REGION}e"], atoms["{shop_zone}e"], atoms["{SHOP_NONE}e"]) == ("eu", "b", "-")


@pytest.mark.covers("F2")
@pytest.mark.covers("T9")
def test_the_environment_is_in_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Secrets of the environment are in none of the dict's views, though one may ask for each by name.
    """
    monkeypatch.setenv("SHOP_ZONE", "b")
    atoms = AccessLogAtoms(http_scope(), OK, 0)

    assert not any(name.endswith("}e") for name in atoms)
    assert "{shop_zone}e" in atoms
    assert "{user-agent}i" in dict(atoms)
    assert len(atoms) == len(list(atoms)) == len(dict(atoms)) == len(atoms.items())
    assert json.loads(json.dumps(atoms))["r"] == "GET /a 1.1"
    assert atoms == pickle.loads(pickle.dumps(atoms))


@pytest.mark.covers("F2")
@pytest.mark.covers("T9")
def test_an_atom_costs_nothing_until_it_is_asked_for() -> None:
    """
    Making the atoms reads no header, no environment and no clock (pains.md F2).
    """

    class Untouchable(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise AssertionError(name)

    atoms = AccessLogAtoms(Untouchable(), Untouchable(), 0)

    assert dict.__len__(atoms) == 1


@pytest.mark.covers("F3")
@pytest.mark.covers("0.9", note="`%(h)s` is `-` rather than `None` where there is no client address (a Unix socket)")
def test_an_absent_client_is_a_dash() -> None:
    """
    Behind a Unix socket there is no client address: `-`.
    """
    assert AccessLogAtoms(http_scope(client=None), OK, 0)["h"] == "-"
    assert ApacheAtoms(http_scope(client=None, server=None), OK, 0)["h"] == "-"
    assert ApacheAtoms(http_scope(client=None, server=None), OK, 0)["p"] == "-"


@pytest.mark.covers("F8")
@pytest.mark.covers("0.9")
@given(query=st.binary(max_size=20), path=st.text(max_size=20), value=st.binary(max_size=20))
def test_any_bytes_have_an_answer(query: bytes, path: str, value: bytes) -> None:
    """
    No bytes in path, query or headers make an atom raise (pains.md F8).
    """
    atoms = AccessLogAtoms(http_scope(query_string=query, path=path, headers=[(value, value)]), OK, 0.1)

    assert all(isinstance(text, str | int) for text in atoms.values())


@pytest.mark.covers("0.11")
def test_apaches_meaning() -> None:
    """
    In Apache's style: bare host, server port, named protocol, bytes of the body.
    """
    atoms = ApacheAtoms(http_scope(query_string=b"x=1"), OK, 2.5)

    found = {name: atoms[name] for name in ("h", "p", "r", "R", "H", "b", "B", "T", "D", "L", "P", "s", "l")}
    assert found == {
        "h": "127.0.0.1",
        "p": "8000",
        "r": "GET /a HTTP/1.1",
        "R": "GET /a?x=1 HTTP/1.1",
        "H": "HTTP/1.1",
        "b": 5,
        "B": 5,
        "T": 2,
        "D": 2_500_000,
        "L": "2.500000",
        "P": str(os.getpid()),
        "s": "200",
        "l": "-",
    }
    assert ApacheAtoms(http_scope(http_version="2"), None, 0)["r"] == "GET /a HTTP/2.0"
    assert ApacheAtoms(http_scope(), {"status": 204, "headers": []}, 0)["b"] == "-"


@pytest.mark.covers("0.11")
def test_apaches_bytes_are_those_that_were_sent() -> None:
    """
    Where the app is instrumented, `%b` knows the bytes of an answer without Content-Length.
    """
    record = AccessRecord(response_body_size=3000)
    atoms = ApacheAtoms(http_scope(state={"access_log": record}), {"status": 200, "headers": []}, 0)

    assert (atoms["b"], atoms["B"]) == (3000, 3000)


class _Lazy:
    """A user whose name needs a database."""

    @property
    def username(self) -> str:
        raise RuntimeError("no connection")

    display_name = "Ada"


@pytest.mark.covers("0.11", note="`%(u)s` never takes the name out of an Authorization header that nobody has verified")
@pytest.mark.parametrize(
    ("user", "shown"),
    [
        (None, "-"),
        ("ada", "ada"),
        ({"sub": "42"}, "42"),
        (SimpleNamespace(is_authenticated=True, username="ada"), "ada"),
        (SimpleNamespace(is_authenticated=False, username="guest"), "-"),
        (_Lazy(), "Ada"),
        (object(), "-"),
    ],
)
def test_the_user_is_whom_the_app_has_authenticated(user: object, shown: str) -> None:
    """
    `u` is the user that middleware has put into the scope or its state; a header proves nothing.
    """
    claims = [(b"authorization", b"Basic ZXZlOg==")]

    assert AccessLogAtoms(http_scope(user=user, headers=claims), OK, 0)["u"] == shown
    assert AccessLogAtoms(http_scope(state={"user": user}), OK, 0)["u"] == shown


def test_atoms_of_ones_own_count() -> None:
    """
    What a subclass or the user adds is an atom like the others.
    """
    atoms = AccessLogAtoms(http_scope(), OK, 0)
    atoms["tenant"] = "acme"
    atoms["h"] = "hidden"

    assert access_format("%(tenant)s %(h)s %(m)s") % atoms == "acme hidden GET"
    assert "tenant" in atoms
    assert atoms.get("none", 1) == 1
    assert atoms.copy()["tenant"] == "acme"
