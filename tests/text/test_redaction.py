"""What nobody may read: the names, the values, the texts. What is left alone is as important."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge import _native
from otelbridge.text.redaction import DEFAULT_NAMES, DETECTORS, PLACEHOLDER, URL_NAMES, Redaction, fold
from tests.text.redaction_oracle import redacted

DEFAULT = Redaction.from_setting(None)
CANARY = "canary-7f3a"

many = settings(max_examples=int(os.environ.get("OTELBRIDGE_EXAMPLES", "400")), deadline=None)


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("setting", [5, 1.5, b"password", {"password": True}, [1], ["a", None], [b"a"]])
def test_what_is_no_entry_is_a_type_error(setting: object) -> None:
    """
    The sentence says what was expected, and what came.
    """
    with pytest.raises(TypeError, match=r"redact.* got "):
        Redaction.from_setting(setting)


@pytest.mark.parametrize("setting", ["", "!", "-", [""], "a,b", "value:", "value:cards", ["value:*", "value:x"]])
def test_entry_that_names_nothing_is_a_value_error(setting: object) -> None:
    """
    A detector that does not exist, an empty name and a list in one string are mistakes, never "nothing is secret".
    """
    with pytest.raises(ValueError, match=r"redact: expected .* got "):
        Redaction.from_setting(setting)


@pytest.mark.parametrize("setting", [False, (), [], set()])
def test_redaction_can_be_switched_off(setting: object) -> None:
    """
    False, or no entries: names and texts stay as they are.
    """
    policy = Redaction.from_setting(setting)
    values = {"password": CANARY, "url": f"https://u:{CANARY}@h"}

    assert not policy.is_on
    assert policy.values(values) is values
    assert policy.text(values["url"]) is values["url"]
    assert policy.variable("password", CANARY) is CANARY


@pytest.mark.parametrize("setting", [None, True, ["value:card"]])
def test_default_names_need_not_be_asked_for(setting: object) -> None:
    """
    None, True, or a detector alone: the default names.
    """
    policy = Redaction.from_setting(setting)

    assert policy.is_on
    assert policy.is_secret("db_password")
    assert not policy.is_secret("session_id")


@pytest.mark.parametrize(
    ("setting", "secret", "public"),
    [
        ("session_id", ["session_id", "sessionId", "Session-ID", "SESSION_ID", "sessionid", "a.session_id"], ["id"]),
        (["*_pin"], ["card_pin", "cardPin", "Card-PIN", "password"], ["pin", "spin", "pin_count"]),
        (["x_internal_*"], ["X-Internal-Id", "xInternalId"], ["internal_id", "x_internal"]),
        (["iban?"], ["iban1"], ["iban", "iban12"]),
        (["key[0-9]"], ["key1", "KEY2"], ["key", "keya"]),
        (["user.email"], ["user.email"], ["email", "other.email"]),
        (["!token"], ["access_token"], ["token", "self.token", "Token"]),
        (["!*"], [], ["password", "token", "api_key"]),
        (["!*", "mine"], ["mine"], ["password"]),
        (["page_token"], ["page_token", "pageToken"], ["next_token"]),
        (["iban", "!iban"], [], ["iban"]),
        (["!iban", "iban"], ["iban"], []),
    ],
)
def test_entries_come_on_top_of_the_default(setting: object, secret: list[str], public: list[str]) -> None:
    """
    Names in any spelling, globs over their words, and "!": of the entries that match a name the last decides.
    """
    policy = Redaction.from_setting(setting)

    assert [name for name in secret if not policy.is_secret(name)] == []
    assert [name for name in public if policy.is_secret(name)] == []
    if "!*" not in setting:  # type: ignore[operator]  # a string or a list
        assert policy.is_secret("user_password")


def test_callable_decides_and_may_abstain() -> None:
    """
    A callable gets the name as it was written: True and False decide, None leaves it to the other entries.
    """
    answers = {"Iban": True, "password": False}
    policy = Redaction.from_setting(answers.get)

    assert policy.is_secret("Iban")
    assert not policy.is_secret("iban")
    assert not policy.is_secret("password")
    assert policy.is_secret("secret")


def test_callable_that_raises_hides() -> None:
    """
    A rule that cannot decide must not open the door, nor break a log call.
    """

    def rule(name: str) -> bool:
        raise LookupError(name)

    assert Redaction.from_setting([rule]).values({"anything": CANARY}) == {"anything": PLACEHOLDER}


def test_each_name_is_judged_once() -> None:
    """
    However many calls have a name, the callable is asked about it in the first only.
    """
    asked: list[str] = []

    def rule(name: str) -> None:
        asked.append(name)

    policy = Redaction.from_setting(rule)
    before = [policy.is_secret("iban"), len(asked)]

    for _ in range(100):
        policy.values({"iban": 1})

    assert [False, len(asked)] == before


def test_names_that_never_come_again_are_forgotten() -> None:
    """
    Keys such as ids, made of what a user sends, do not fill the memory.
    """
    policy = Redaction.from_setting("iban")

    for i in range(10_000):
        policy.values({"ids": {f"id-{i}": 1, f"id-{i}" * 50: 2}})

    known = policy._kinds  # what is promised is its size
    assert len(known) <= 4096
    assert max(len(name) for name in known if isinstance(name, str)) <= 128
    assert policy.is_secret("iban")


# ---------------------------------------------------------------------------------------------------------- names

SECRET_NAMES = """
    password passwd pwd db_password userPassword PASSWORD new_password1 password_hash passphrase user_pass secret
    secrets client_secret SECRET_KEY aws_secret_access_key token access_token refreshToken id_token X-Auth-Token
    csrftoken jwt api_key apikey X-Api-Key googleApiKey GOOGLE_API_KEY APIKey authorization Authorization
    HTTP_AUTHORIZATION Proxy-Authorization http.request.header.authorization auth basic_auth cookie Cookie
    Set-Cookie HTTP_COOKIE cookies private_key privateKey signing_key credential credentials creds
    AZURE_STORAGE_CONNECTION_STRING otp ssn cvv credit_card_number cardNumber self.password
    request.headers.authorization user[password]
"""
PUBLIC_NAMES = """
    author authors tokens token_count max_tokens tokenizer n_tokens token_type next_page_token nextPageToken
    page_token continuation_token cancel_token session_id user_id key keys id monkey keyboard pass_rate bypass
    compass password_length password_reset_url secretary cookie_policy_url auth_method authenticated oauth
    signature sig path cwd card cards name email message level passenger api_key_id private public_key
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_default_names_hide(name: str) -> None:
    """
    What bears such a name is not shown.
    """
    assert DEFAULT.values({name: CANARY}) == {name: PLACEHOLDER}


@pytest.mark.parametrize("name", PUBLIC_NAMES.split())
def test_default_names_do_not_hide_too_much(name: str) -> None:
    """
    Counts, ids, and words that only look alike are shown.
    """
    values = {name: CANARY}

    assert DEFAULT.values(values) is values


WORDS = "user db api key token page pass word secret id x auth 2 url card"
words = st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=4)


@many
@given(words)
def test_spelling_of_a_name_does_not_matter(words: list[str]) -> None:
    """
    snake_case, SNAKE_CASE, kebab-case, Train-Case, camelCase and PascalCase of a name are judged alike.
    """
    title = [word.title() for word in words]
    spellings = ["_".join(words), "_".join(words).upper(), "-".join(words), "-".join(title), " ".join(words)]
    if "2" not in words and "x" not in words:  # `userX` and `user2`: where a word ends is not to be seen
        spellings += ["".join(title), words[0] + "".join(title[1:])]

    assert {DEFAULT.is_secret(name) for name in spellings} in ({True}, {False})
    assert len({fold(name) for name in spellings}) == 1


@many
@given(st.text())
def test_any_name_has_a_verdict(name: str) -> None:
    """
    No name is too odd; verdicts do not change.
    """
    assert DEFAULT.is_secret(name) is DEFAULT.is_secret(name)
    assert Redaction.from_setting("!*").is_secret(name) is False


def test_long_name_is_judged_without_stepping_back() -> None:
    """
    A name of a megabyte, made to make globs slow, costs no more than reading it.
    """
    policy = Redaction.from_setting("*a*a*a*a*a*a*a*b")

    assert not policy.is_secret("a" * 1_000_000)
    assert policy.is_secret("a" * 1_000_000 + "_password")


# --------------------------------------------------------------------------------------------------------- values

Pair = namedtuple("Pair", ["user", "password"])

HIDING = {
    "value": {"password": CANARY},
    "number": {"password": 71834},
    "nested": {"a": [{"b": ({"password": CANARY},)}]},
    "whole container": {"credentials": {"user": CANARY}},
    "bytes name": {"headers": {b"authorization": CANARY.encode()}},
    "ASGI headers": {"scope": {"headers": [(b"cookie", CANARY.encode()), (b"host", b"h")]}},
    "header lists": {"headers": [["X-Api-Key", CANARY]]},
    "named tuple": {"login": Pair("u", CANARY)},
    "mapping": {"environ": MappingProxyType({"DB_PASSWORD": CANARY})},
    "dict subclass": {"environ": OrderedDict(DB_PASSWORD=CANARY)},
    "URL": {"url": f"postgres://u:{CANARY}@h/db"},
    "URL in a list": {"urls": {f"https://h/?sig={CANARY}"}},
    "URL in a frozenset": {"urls": frozenset([f"https://h/?sig={CANARY}"])},
    "URL as a key": {"pools": {f"https://u:{CANARY}@h": 1}},
    "URL in bytes": {"url": f"https://{CANARY}@h".encode()},
    "query": {"query_string": f"token={CANARY}&a=1".encode(), "environ": {"QUERY_STRING": f"token={CANARY}"}},
    "exception": {"error": ValueError(f"no answer from https://u:{CANARY}@h")},
}


@pytest.mark.parametrize("values", HIDING.values(), ids=HIDING.keys())
def test_canary_is_not_to_be_seen(values: dict[str, Any]) -> None:
    """
    Wherever a secret is, in values with names: it is gone, and nothing else is.
    """
    before = repr(values)

    clean = DEFAULT.values(values)

    assert CANARY not in repr(clean)
    assert "71834" not in repr(clean)
    assert "REDACTED" in repr(clean)
    assert list(clean) == list(values)
    assert repr(values) == before


def test_rest_of_a_container_stays() -> None:
    """
    Only what is secret is replaced: names, order, types and the other values are as before.
    """
    scope = {"headers": [(b"cookie", b"x"), (b"host", b"h")], "path": "/", "login": Pair("me", "x"), "n": [1, (2,)]}

    assert DEFAULT.values({"scope": scope}) == {
        "scope": {
            "headers": [(b"cookie", PLACEHOLDER), (b"host", b"h")],
            "path": "/",
            "login": Pair("me", PLACEHOLDER),
            "n": [1, (2,)],
        }
    }


@pytest.mark.parametrize("blank", [None, True, False, "", b"", [], {}, ()])
def test_missing_secret_is_seen(blank: object) -> None:
    """
    That a password is None, empty or just a flag is no secret, and often the very mistake that is looked for.
    """
    values = {"password": blank, "a": {"token": blank}}

    assert DEFAULT.values(values) is values


@pytest.mark.parametrize(
    "value",
    [1, 1.5, "text", b"text", None, True, Decimal(1), [1, "a"], {"a": {"b": (1,)}}, {1, 2}, object(), ValueError("no")],
)
def test_same_object_where_nothing_is_hidden(value: object) -> None:
    """
    What hides nothing is not copied.
    """
    values = {"a": value}
    args = (value,)

    assert DEFAULT.values(values) is values
    assert DEFAULT.positional(args) is args
    assert DEFAULT.arguments(args, values) == (args, values)
    assert DEFAULT.variable("a", value) is value


def test_value_that_hides_nothing_stays_beside_one_that_does() -> None:
    """
    A large list is not copied because its neighbour is a password.
    """
    large = [[i] for i in range(100)]

    assert DEFAULT.values({"large": large, "password": "x"})["large"] is large


json_keys = st.sampled_from(["a", "user", "password", "apiKey", "tokens", b"cookie", 1])
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(json_keys, inner, max_size=4)
    ),
    max_leaves=20,
)


def leaves(value: object, secret: bool = False) -> Iterator[tuple[bool, object]]:
    """Every leaf, and whether a secret name is above it."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from leaves(child, secret or name in ("password", "apiKey", b"cookie"))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from leaves(child, secret)
    else:
        yield secret, value


@many
@given(json_like)
def test_secrets_go_and_all_else_stays(value: object) -> None:
    """
    For any nested value: below secret names nothing is left, the other leaves are the same, the original is untouched,
    and what is clean stays the object it is.
    """
    values = {"value": value}
    before = copy.deepcopy(values)

    clean = DEFAULT.values(values)

    assert values == before
    shown = [leaf for secret, leaf in leaves(clean) if not secret]
    expected = [leaf for secret, leaf in leaves(values) if not secret]
    assert [leaf for leaf in shown if leaf != PLACEHOLDER] == [leaf for leaf in expected if leaf != PLACEHOLDER]
    assert all(leaf in (None, True, False, "", b"", PLACEHOLDER) for secret, leaf in leaves(clean) if secret)
    assert DEFAULT.values(clean) is clean


def test_container_that_holds_itself() -> None:
    """
    Cycles end, with the secret hidden on every way round.
    """
    loop: dict[str, Any] = {"password": CANARY, "query": None}
    loop["self"] = [loop, (loop,)]
    loop["query"] = loop

    clean = DEFAULT.values({"loop": loop})["loop"]

    assert clean["password"] == PLACEHOLDER
    assert clean["self"][0] is clean
    assert clean["self"][1][0] is clean
    assert clean["query"] is clean
    assert loop["password"] == CANARY
    assert loop["self"][0] is loop


def test_container_that_holds_itself_and_hides_nothing() -> None:
    """
    A cycle without secrets is left alone.
    """
    loop: list[Any] = []
    loop.append((loop, {"a": loop}))
    values = {"loop": loop}

    assert DEFAULT.values(values) is values


def test_many_ways_to_one_container() -> None:
    """
    A container that is found on 2^200 ways is looked into once.
    """
    inner: list[Any] = [{"password": CANARY}]
    for _ in range(25):
        inner = [inner, inner]
    shared: list[Any] = [inner] * 200

    clean = DEFAULT.values({"shared": shared})["shared"]

    assert clean[0] is clean[199]
    assert clean[0][0] is clean[0][1]


def test_too_deep_to_look_is_hidden() -> None:
    """
    What is nested deeper than anybody reads is not shown rather than not looked at.
    """
    deep: Any = {"password": CANARY}
    for _ in range(5000):
        deep = [deep]

    clean = repr(DEFAULT.values({"deep": deep}))

    assert CANARY not in clean
    assert PLACEHOLDER in clean


class Hostile(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Lazy:
    """Such as Django's lazy user: to ask for its class is to ask the database."""

    @property  # type: ignore[misc]  # what such objects do
    def __class__(self) -> type:
        raise AssertionError


def test_hostile_objects() -> None:
    """
    A container that cannot be looked through is hidden; an object whose text nobody can get, or must not, stays.
    """
    error, lazy = HostileError(), Lazy()

    clean = DEFAULT.values({"a": Hostile(password=CANARY), "b": error, "c": lazy, "d": [lazy]})

    assert clean["a"] == PLACEHOLDER
    assert clean["b"] is error
    is_untouched = clean["c"] is lazy  # apart: pytest would ask for the class
    assert is_untouched
    assert DEFAULT.variable("x", error) is error


# ------------------------------------------------------------------------------------------------------ arguments


def test_arguments_of_a_message() -> None:
    """
    Named secrets and texts are clean before the message is made; objects stay objects.
    """
    error = ValueError(f"https://u:{CANARY}@h")

    args, kwargs = DEFAULT.arguments((error, {"password": CANARY}), {"token": CANARY, "error": error})

    assert args == (error, {"password": PLACEHOLDER})
    assert kwargs == {"token": PLACEHOLDER, "error": error}
    assert "{.args[0]}".format(*args) == str(error)


@pytest.mark.parametrize("field", ["{}", "{!r}", "{!s:>3}", "{:06d}", "{:%Y}", "{.name}", "{[key]}", "{.a[0].b:x}"])
def test_placeholder_takes_any_field(field: str) -> None:
    """
    A template that formats a number, a date or an attribute does not fail because the value is hidden.
    """
    template = field.replace("{", "{otp", 1)

    _, kwargs = DEFAULT.arguments((), {"otp": 123456})

    assert template.format(**kwargs) == PLACEHOLDER


def test_positional_arguments_on_the_wire() -> None:
    """
    There, an exception is only its text, and that is clean.
    """
    args = (ValueError(f"https://u:{CANARY}@h"), f"/?sig={CANARY}", 3)

    assert DEFAULT.positional(args) == ("https://REDACTED:REDACTED@h", "/?sig=REDACTED", 3)


class URL:
    """As httpx, yarl and others have them."""

    def __str__(self) -> str:
        return f"https://u:{CANARY}@h/"

    def __repr__(self) -> str:
        return f"URL('{self}')"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", CANARY, "'[REDACTED]'"),
        ("self.password", CANARY, "'[REDACTED]'"),
        ("config.db.api_key", CANARY, "'[REDACTED]'"),
        ("password", None, "None"),
        ("self.headers", {"Cookie": CANARY, "Host": "h"}, "{'Cookie': '[REDACTED]', 'Host': 'h'}"),
        ("url", f"https://u:{CANARY}@h", "'https://REDACTED:REDACTED@h'"),
        ("url", URL(), "URL('https://REDACTED:REDACTED@h/')"),
        ("error", ValueError(f"/?key={CANARY}"), "ValueError('/?key=REDACTED')"),
        ("password.length", 8, "8"),
    ],
)
def test_variables_of_a_diagnosed_traceback(name: str, value: object, shown: str) -> None:
    """
    The last part of a dotted name decides, and what is inside of a variable is clean as well.
    """
    assert repr(DEFAULT.variable(name, value)) == shown


# ---------------------------------------------------------------------------------------------------------- texts

TEXTS = {
    "to postgres://me:canary@db/x!": "to postgres://REDACTED:REDACTED@db/x!",
    "https://canary@github.com/a.git": "https://REDACTED@github.com/a.git",
    "redis://:canary@h": "redis://REDACTED:REDACTED@h",
    "amqp://me:can/ary@h/": "amqp://REDACTED:REDACTED@h/",
    "https://h/p?color=blue&sig=canary": "https://h/p?color=blue&sig=REDACTED",
    '"GET /a?X-Amz-Signature=canary&x=1 HTTP/1.1" 200': '"GET /a?X-Amz-Signature=REDACTED&x=1 HTTP/1.1" 200',
    "for url 'https://h/v1?key=canary'\nSee 'x'": "for url 'https://h/v1?key=REDACTED'\nSee 'x'",
    "(https://h/#access_token=canary).": "(https://h/#access_token=REDACTED).",
    "https://h/?next=https://u:canary@h/": "https://h/?next=https://REDACTED:REDACTED@h/",
    "/?user%5Bpassword%5D=canary": "/?user%5Bpassword%5D=REDACTED",
    "\ud800 é https://u:canary@h/?token=canary é": "\ud800 é https://REDACTED:REDACTED@h/?token=REDACTED é",
}


@pytest.mark.parametrize(("text", "clean"), TEXTS.items())
def test_secrets_in_urls(text: str, clean: str) -> None:
    """
    Credentials and secret parameters go, as OpenTelemetry asks for url.full; the rest of the URL stays.
    """
    assert DEFAULT.text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12:30:45 plain",
        "https://h:8080/p?page=2&tokens=9#top",
        "https://medium.com/@me",
        "why? token=5",
        "4111111111111111 Bearer abc.def-1 a@x.com",
        "https://REDACTED:REDACTED@h/?sig=REDACTED&token=[REDACTED]",
        "\ud800",
    ],
)
def test_same_text_where_nothing_is_found(text: str) -> None:
    """
    A text without secrets (values are looked for only when asked for) is the object it was.
    """
    assert DEFAULT.text(text) is text


VALUES = {
    "card": ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "3782 822463 10005"],
    "bearer": ["abc.def-1", "c2VjcmV0MTIz==", "s3cr3t"],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."],
    "aws": ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"],
    "private_key": ["-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----"],
    "email": ["me.too+x@mail.example.com"],
}


@pytest.mark.parametrize("detector", DETECTORS)
def test_values_are_found_when_asked_for(detector: str) -> None:
    """
    `value:NAME` finds its values in messages, in strings inside containers, and nowhere else's.
    """
    one, every = Redaction.from_setting(f"value:{detector}"), Redaction.from_setting(["value:*"])
    for name, values in VALUES.items():
        for value in values:
            before = "Authorization: Bearer " if name == "bearer" else "was "
            text, clean = f"{before}{value}, or so", f"{before}{PLACEHOLDER}, or so"

            assert one.text(text) == (clean if name == detector else text)
            assert every.values({"a": [text]}) == {"a": [clean]}


def test_policy_of_names_holds_in_urls_as_well() -> None:
    """
    A name of the user's, or one that he takes off the list, is the same name in a URL.
    """
    policy = Redaction.from_setting(["session_id", "!token", "!key"])

    clean = policy.text("https://u:p@h/?sessionId=a&token=b&key=c&sig=d")

    assert clean == "https://REDACTED:REDACTED@h/?sessionId=REDACTED&token=b&key=c&sig=REDACTED"


@pytest.mark.parametrize("entry", DEFAULT_NAMES + URL_NAMES)
def test_core_knows_the_default_names(entry: str) -> None:
    """
    The list that the core has compiled in is the one that stands here.
    """
    name = entry.lstrip("!").replace("*", "x" if entry.lstrip("!*")[0] == "_" else "")
    text = f"/?{name}=canary&{name}x=1"

    assert (DEFAULT.text(text) == f"/?{name}=REDACTED&{name}x=1") is not entry.startswith("!")


PIECES = r"""
    https:// http:// u:p@ u@ host / ? & ; # = ' " ( ) . , : :80 [::1] % \ < - _ @ é 日
    token= sig= page= api%5Fkey= user[pass]= REDACTED [REDACTED] REDACTED:REDACTED@
    4111111111111111 3782 6304000000000000000 123 0. .5 bearer Bearer abc123 abcdef eyJhbGciOi eyJzdWIi x.com .c1
    AKIAIOSFODNN7EXAMPLE
"""
SPACED_PIECES = [
    *("\ud800", "\x7f", " ", "\n", "4111 1111 1111 1111", "3056 930902 5904", "Bearer ", "bearer  "),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"),
    *("-----END RSA PRIVATE KEY-----", "-----END PGP PRIVATE KEY BLOCK-----"),
]


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """`name=`, spelled somehow."""
    parts = draw(words)
    spelling = draw(st.sampled_from(["_", "-", ".", ""]))
    return spelling.join(parts if spelling else [part.title() for part in parts]) + "="


pieces = st.sampled_from([*PIECES.split(), *SPACED_PIECES])
texts = st.lists(pieces | parameters() | st.text(max_size=3), max_size=14).map("".join)
asked = st.sets(st.sampled_from(sorted(DETECTORS)))


def is_odd(name: str) -> bool:
    return len(name) % 2 == 1


@many
@given(texts, asked, st.sampled_from([None, is_odd]))
def test_texts_against_the_oracle(text: str, asked: set[str], judge: Callable[[str], bool] | None) -> None:
    """
    The core and a slow Python program find the same secrets, with every set of detectors and either judge of names.
    """
    detectors = sum(DETECTORS[name] for name in asked)

    clean = _native.redact_text(text, detectors, judge)

    assert clean == redacted(text, sorted(asked), judge or DEFAULT.is_secret_parameter)
    assert (clean is text) is (clean == text)


HOSTILE_PIECES = [
    *("a", "://", "a://", "a:b://", "http://a:b/", "http://a:b", "://@", "'", "'a://"),
    *("?", "?a", "?a=", "?;a=", "#a=", "&=", "?token=", "?token=;", "?token=a&", "%41"),
    *("1", "41", "4111 ", "4111-", "Bearer ", "bearer", "Bearer .", "b", "eyJ", "eyJhbGciOi.", "A", "AKIA", "-"),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END ", "@", "a@", "@a.", "a@a.com.", ".", "é"),
]


@pytest.mark.parametrize("piece", HOSTILE_PIECES)
@pytest.mark.parametrize("tail", ["", " ", "@", "=x", "1", "-----END PRIVATE KEY-----"])
def test_time_is_linear(piece: str, tail: str) -> None:
    """
    No text takes long: two megabytes of any piece are done before a program that steps back would have begun.
    """
    text = piece * (2_000_000 // len(piece)) + tail

    assert isinstance(Redaction.from_setting("value:*").text(text), str)


@pytest.mark.parametrize("arguments", [(), ("a",), (b"a", 0), ("a", "0"), ("a", None), ("a", 0, None, None)])
def test_core_refuses_what_it_does_not_know(arguments: tuple[object, ...]) -> None:
    """
    redact_text takes a text, a number, and perhaps a judge.
    """
    with pytest.raises(TypeError):
        _native.redact_text(*arguments)  # type: ignore[call-overload, arg-type, unused-ignore]  # the mistake


def test_what_a_judge_raises_is_raised() -> None:
    """
    Ctrl-C while a name is judged is not lost; the judge is not asked again.
    """
    asked: list[str] = []

    def judge(name: str) -> bool:
        asked.append(name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _native.redact_text("/?a=1&b=2", 0, judge)
    assert asked == ["a"]
