"""What nobody may read in a log: values with secret names, and secrets in URLs and texts. Decided once, for all sinks.

`Redaction` is a policy. Names are judged in Python, once each; texts are searched by the core (native/src/redact.zig).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeGuard, TypeVar, cast

from otelbridge import _native

PLACEHOLDER = "[REDACTED]"

# Whole names and endings (`*`), folded (see `fold`); those with `!` are public, whatever else matches.
# Not here, because they are how records are found again, or no secrets: session_id, user_id, author, tokens.
DEFAULT_NAMES = (
    *("*password", "*passwords", "*password1", "*password2", "*password_hash"),
    *("*password_confirm", "*password_confirmation", "*passwd", "*passphrase", "*passcode", "pwd", "*_pwd"),
    *("pass", "user_pass", "db_pass", "smtp_pass"),
    *("*secret", "*secrets", "*secret_key", "*secretkey"),
    *("token", "*_token", "*accesstoken", "*authtoken", "*refreshtoken", "*sessiontoken", "*bearertoken"),
    *("*csrftoken", "*xsrftoken", "jwt", "*_jwt", "bearer", "client_assertion"),
    *("*api_key", "*apikey", "*api_keys", "*apikeys", "*access_key", "*accesskey", "*private_key", "*privatekey"),
    *("*signing_key", "*encryption_key", "*master_key", "*account_key", "*accountkey"),
    *("auth", "*_auth", "*authorization", "*auth_header", "*cookie", "*cookies", "phpsessid", "jsessionid"),
    *("*credential", "*credentials", "creds", "*_creds", "*connection_string", "*connectionstring"),
    *("otp", "*_otp", "ssn", "*_ssn", "*social_security_number"),
    *("*credit_card", "*creditcard", "*credit_card_number", "*card_number", "*cardnumber"),
    *("cvv", "*_cvv", "cvc", "*_cvc"),
    # Where a list goes on, or what stops a task: tokens by name only.
    *("!*page_token", "!*next_token", "!*continuation_token", "!*pagination_token"),
    *("!*cancel_token", "!*cancellation_token"),
)
# Secret in URLs only: what presigned URLs have (OpenTelemetry's list for url.full is in it), and Google's API keys.
URL_NAMES = ("*signature", "sig", "key", "aws_access_key_id")

# What can be asked for as "value:NAME", and the core's bits for it.
DETECTORS: Mapping[str, int] = {"card": 1, "bearer": 2, "jwt": 4, "aws": 8, "private_key": 16, "email": 32}

_KNOWN_COUNT_MAX = 4096
_KNOWN_SIZE_MAX = 128
_DEPTH_MAX = 32
_PLAIN = frozenset({int, float, bool, type(None)})

# What a name says of its value: nothing; that it is secret; that it is the query of a URL without the URL. What a type
# says: nothing; that its values are texts at heart. The core reads these numbers, too.
_OPEN, _SECRET, _QUERY = range(3)
_TEXT = 1
_ANY_PARAMETER = 64
_QUERY_NAMES = frozenset({"query", "querystring", "urlquery"})

# Beyond ASCII all are letters, to the core as well.
_SEPARATORS = r"[^A-Za-z0-9\x80-\U0010ffff]+"
_WORD_BORDERS = re.compile(rf"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|{_SEPARATORS}")
_GLOB = re.compile(r"(\*|\?|\[[^\]]*\])")


def fold(name: str) -> str:
    """The words of a name in lower case, joined by `_`: `X-Api-Key`, `xApiKey` and `x_api_key` are one name."""
    return "_".join(word for word in _WORD_BORDERS.split(name) if word).lower()


class _Name(NamedTuple):
    """A name, or its last part, as rules see it; `written` is always the whole."""

    written: str
    folded: str
    compact: str


_Rule = Callable[[_Name], bool | None]


class Redaction:
    """An immutable policy: which names are secret, and what is looked for in texts.

    Every method gives back the very object it was given if there is nothing to hide, and never changes that object.
    None of them raises.
    """

    __slots__ = ("_detectors", "_is_on", "_kinds", "_own_rules", "_parameters")

    _default: ClassVar[Redaction | None] = None

    def __init__(self, rules: tuple[_Rule, ...] = (), detectors: int = 0, *, is_on: bool = True) -> None:
        self._own_rules = rules
        self._detectors = detectors
        self._is_on = is_on
        self._kinds: dict[str | type, int] = {}
        self._parameters: dict[str, bool] = {}

    @classmethod
    def from_setting(cls, setting: object = None) -> Redaction:
        """The policy that `configure(redact=setting)` asks for.

        None or True: the default names. False or an empty sequence: nothing is redacted. Else entries, one or a
        sequence of them, which come on top of the default names; of those that match, the last decides:

        - "session_id": that name, in any spelling (`sessionId`, `Session-ID`, `SESSION_ID`, `sessionid`)
        - "*_pin", "iban?", "x_internal_*": a glob over the words of the name in lower case, joined by `_`
        - "!token", "!*": not secret
        - a callable(name) -> bool | None: None leaves the decision to the entries before it; if it raises: secret
        - "value:card", "value:bearer", "value:jwt", "value:aws", "value:private_key", "value:email", "value:*": look
          for such values in all texts

        Raises TypeError for what is no entry, ValueError for an entry that names nothing.
        """
        if setting is None or setting is True:
            if cls._default is None:
                cls._default = cls()
            return cls._default
        entries = _entries(setting)
        if not entries:
            return cls(is_on=False)
        rules: list[_Rule] = []
        detectors = 0
        for entry in entries:
            if isinstance(entry, str) and entry.startswith("value:"):
                detectors |= _detector(entry)
            else:
                rules.append(_name_rule(entry) if isinstance(entry, str) else _callable_rule(entry))
        return cls(tuple(rules), detectors)

    @property
    def is_on(self) -> bool:
        """Whether anything may be redacted at all."""
        return self._is_on

    @property
    def detectors(self) -> int:
        """The core's bits of the values that are looked for."""
        return self._detectors

    def for_core(self) -> tuple[dict[str | type, int] | None, int]:
        """The arguments of `Core.set_redaction`: what is known of names and types so far, and goes on growing."""
        if not self._is_on:
            return None, 0
        return self._kinds, self._detectors | (_ANY_PARAMETER if self._own_rules else 0)

    @property
    def parameter_judge(self) -> Callable[[str], bool] | None:
        """Who judges the parameters of URLs; None: the core by itself, which knows the default names."""
        return self.is_secret_parameter if self._own_rules else None

    # -------------------------------------------------------------------------------------------------- names

    def is_secret(self, name: str) -> bool:
        """Whether values of that name are secret: the last part of `self.password` or `user[password]` decides."""
        return self.kind_of(name) == _SECRET

    def kind_of(self, name: str) -> int:
        """What the name says of its value; asked once per name."""
        kind = self._kinds.get(name)
        return _keep(self._kinds, name, self._judge(name)) if kind is None else kind

    def is_shown_as_text(self, kind: type) -> bool:
        """Exceptions, and the URL objects of the libraries (`URL`, `AnyUrl`, `PostgresDsn`)."""
        known = self._kinds.get(kind)
        if known is None:
            is_text = issubclass(kind, BaseException) or kind.__name__.lower().endswith(("url", "uri", "dsn"))
            known = _keep(self._kinds, kind, _TEXT if is_text else _OPEN)
        return known == _TEXT

    def is_secret_parameter(self, name: str) -> bool:
        """Whether a parameter of that name, as it stands in a URL, is secret."""
        known = self._parameters.get(name)
        return _keep(self._parameters, name, self._judge_parameter(name)) if known is None else known

    def _judge(self, name: str) -> int:
        if not self._is_on:
            return _OPEN
        if _verdict((_built_in_rule(DEFAULT_NAMES), *self._own_rules), name):
            return _SECRET
        return _QUERY if _name(name).compact in _QUERY_NAMES else _OPEN

    def _judge_parameter(self, name: str) -> bool:
        if "%" in name:
            from urllib.parse import unquote

            name = unquote(name)
        rules = (_built_in_rule(DEFAULT_NAMES + URL_NAMES), *self._own_rules)
        return self._is_on and bool(_verdict(rules, name))

    # ------------------------------------------------------------------------------------------------- values

    def text(self, text: str) -> str:
        """A text without the credentials and secret parameters of its URLs, and without what the detectors find."""
        if not self._is_on:
            return text
        return _native.redact_text(text, self._detectors, self.parameter_judge)

    def query(self, query: str) -> str:
        """What stands behind the `?` of a URL, without its secret parameters."""
        whole = "?" + query
        clean = self.text(whole)
        return query if clean is whole else clean[1:]

    def values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Named values as sinks and the wire may have them: secret ones replaced, texts and containers clean.

        An exception or URL object whose text holds a secret becomes that text, redacted.
        """
        return self._named(values, _Cleaner(self, str))

    def positional(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Values without a name as the wire may have them (`message.args`)."""
        return self._unnamed(values, _Cleaner(self, str))

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that a message is formatted with.

        Objects stay, for the sake of `{error.code}`: the formatted message is to go through `text`. What stands for a
        secret takes any format specification. Sinks and the wire get `values` and `positional`, not these.
        """
        cleaner = _Cleaner(self, None, _Hidden(PLACEHOLDER))
        return self._unnamed(args, cleaner), self._named(kwargs, cleaner)

    def variable(self, name: str, value: object) -> object:
        """The value of a variable as a diagnosed traceback may show it (by `repr`)."""
        if not self._is_on:
            return value
        cleaner = _Cleaner(self, repr)
        return cleaner.item(name if self.is_secret(name) else name.rpartition(".")[2], value)

    def _named(self, values: dict[str, Any], cleaner: _Cleaner) -> dict[str, Any]:
        if not self._is_on:
            return values
        changed = {name: clean for name, value in values.items() if (clean := cleaner.item(name, value)) is not value}
        return {**values, **changed} if changed else values

    def _unnamed(self, values: tuple[Any, ...], cleaner: _Cleaner) -> tuple[Any, ...]:
        if not self._is_on:
            return values
        clean = tuple(cleaner.value(value) for value in values)
        return clean if any(new is not old for new, old in zip(clean, values, strict=True)) else values


# ----------------------------------------------------------------------------------------------------- settings


def _entries(setting: object) -> tuple[Any, ...]:
    if setting is False:
        return ()
    entries: tuple[Any, ...]
    if isinstance(setting, str) or callable(setting):
        entries = (setting,)
    elif isinstance(setting, Collection) and not isinstance(setting, bytes | bytearray | Mapping):
        entries = tuple(setting)
    else:
        msg = f"redact must be None, False, a name, a callable or a sequence of those, got {_described(setting)}"
        raise TypeError(msg)
    for entry in entries:
        if not isinstance(entry, str) and not callable(entry):
            msg = f"redact: expected a name, a glob, 'value:…' or a callable, got {_described(entry)}"
            raise TypeError(msg)
    return entries


def _described(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"


def _detector(entry: str) -> int:
    name = entry.removeprefix("value:")
    if name == "*":
        return sum(DETECTORS.values())
    if name not in DETECTORS:
        msg = f"redact: expected 'value:' and one of {', '.join(DETECTORS)} or *, got {entry!r}"
        raise ValueError(msg)
    return DETECTORS[name]


# -------------------------------------------------------------------------------------------------------- rules


def _name(part: str, written: str = "") -> _Name:
    folded = fold(part)
    return _Name(written, folded, folded.replace("_", ""))


def _verdict(rules: tuple[_Rule, ...], written: str) -> bool | None:
    """What the last rule says that says anything: of the name's last part, else of the whole."""
    parts = re.split(r"[.\[]", written) if "." in written or "[" in written else []
    for part in (*parts[-1:], written):
        name = _name(part, written)
        for rule in reversed(rules):
            verdict = rule(name)
            if verdict is not None:
                return verdict
    return None


def _name_rule(entry: str) -> _Rule:
    verdict = not entry.startswith("!")
    pattern = entry.removeprefix("!")
    if "," in pattern or not (fold(pattern) or _GLOB.search(pattern)):
        msg = f"redact: expected one name, or one glob, in each entry, got {entry!r}"
        raise ValueError(msg)
    matches = _matcher(pattern)
    return lambda name: verdict if matches(name) else None


def _matcher(pattern: str) -> Callable[[_Name], object]:
    if not _GLOB.search(pattern):
        compact = _name(pattern).compact
        return lambda name: name.compact == compact
    glob = "".join(part if _GLOB.fullmatch(part) else _fold_inside(part) for part in _GLOB.split(pattern))
    ending = glob[1:]
    if glob[0] == "*" and not _GLOB.search(ending):
        return lambda name: name.folded.endswith(ending)
    from fnmatch import translate

    # Python's translation of a glob never steps back: no name makes it slow.
    match = re.compile(translate(glob)).match
    return lambda name: match(name.folded)


def _fold_inside(part: str) -> str:
    """`fold`, but separators at the ends stay: they are borders of words."""
    if not part:
        return part
    folded = fold(part)
    before = "_" if re.match(_SEPARATORS, part) else ""
    after = "_" if folded and re.search(_SEPARATORS + r"\Z", part) else ""
    return before + folded + after


def _callable_rule(rule: Callable[[str], object]) -> _Rule:
    def ask(name: _Name) -> bool | None:
        try:
            answer = rule(name.written)
            return None if answer is None else bool(answer)
        except Exception:
            return True  # a rule that fails must not open the door

    return ask


@cache
def _built_in_rule(entries: tuple[str, ...]) -> _Rule:
    """Names and endings in one rule, since every new name goes through it; those with `!` win."""
    wanted = tuple(entry for entry in entries if not entry.startswith("!"))
    names = frozenset(_name(entry).compact for entry in wanted if not entry.startswith("*"))
    endings = tuple(entry.removeprefix("*") for entry in wanted if entry.startswith("*"))
    public_endings = tuple(entry.removeprefix("!*") for entry in entries if entry.startswith("!*"))

    def ask(name: _Name) -> bool | None:
        if name.folded.endswith(public_endings):
            return False
        return True if name.compact in names or name.folded.endswith(endings) else None

    return ask


_Key = TypeVar("_Key", str, str | type)
_Judgement = TypeVar("_Judgement", bool, int)


def _keep(known: dict[_Key, _Judgement], key: _Key, judgement: _Judgement) -> _Judgement:
    if not isinstance(key, str) or len(key) <= _KNOWN_SIZE_MAX:
        if len(known) >= _KNOWN_COUNT_MAX:  # names that never come again, such as ids
            known.clear()
        known[key] = judgement
    return judgement


# ------------------------------------------------------------------------------------------------------- values


_UNDECIDED = object()


class _Cleaner:
    """Makes values that may be shown of values that may not; all others stay the objects that they are.

    `render` is `str` or `repr`: how exceptions and URL objects will be shown (None: they are not looked at).
    """

    def __init__(
        self, policy: Redaction, render: Callable[[object], str] | None, placeholder: str = PLACEHOLDER
    ) -> None:
        self._policy = policy
        self._render = render
        self._placeholder = placeholder

    def item(self, name: object, value: object) -> object:
        """The value of a name."""
        decided = self._decide(name, value)
        return self.value(value) if decided is _UNDECIDED else decided

    def value(self, value: object) -> object:
        """A value that has no name."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is str:
            return self._policy.text(cast("str", value))
        try:
            return self._clean(value, {}, 0) if self._hides(value, {}, 0) else value
        except Exception:  # a container that cannot be looked through
            return self._placeholder

    def _decide(self, name: object, value: object) -> object:
        """What the name alone makes of the value."""
        if type(name) is str:
            kind = self._policy.kind_of(name)
        else:
            kind = self._policy.kind_of(_as_str(name)) if _is_text(name) else _OPEN
        if kind == _SECRET:
            return value if _is_blank(value) else self._placeholder
        if kind == _QUERY and _is_text(value):
            return _in_text(self._policy.query, value)
        return _UNDECIDED

    # Two walks: most values hide nothing, and those are not to be copied. Both remember the containers they have been
    # in, by identity, and the containers themselves, lest another one gets that identity.

    def _hides(self, value: object, seen: dict[int, object], depth: int, *, in_list: bool = False) -> bool:
        if type(value) in _PLAIN:
            return False
        children = _children(value, in_list=in_list)
        if children is None:
            return self._leaf(value) is not value
        if id(value) in seen:
            return False
        seen[id(value)] = value
        if depth == _DEPTH_MAX:
            return bool(children)
        for name, child in children:
            decided = self._decide(name, child)
            if self._clean_key(name) is not name:
                return True
            if decided is not _UNDECIDED:
                if decided is not child:
                    return True
            elif self._hides(child, seen, depth + 1, in_list=name is None):
                return True
        return False

    def _clean(
        self, value: object, done: dict[int, tuple[object, object]], depth: int, *, in_list: bool = False
    ) -> object:
        children = _children(value, in_list=in_list)
        if children is None:
            return self._leaf(value)
        if id(value) in done:
            return done[id(value)][1]
        if depth == _DEPTH_MAX:
            return self._placeholder if children else value

        def clean(name: object, child: object) -> object:
            decided = self._decide(name, child)
            return self._clean(child, done, depth + 1, in_list=name is None) if decided is _UNDECIDED else decided

        # A mapping or list is made before what is in it, which may be the container itself.
        if _is_mapping(value):
            mapping: dict[object, object] = {}
            done[id(value)] = value, mapping
            mapping.update((self._clean_key(name), clean(name, child)) for name, child in children)
            return mapping
        if issubclass(type(value), list):
            items: list[object] = []
            done[id(value)] = value, items
            items.extend(clean(name, child) for name, child in children)
            return items
        cleaned = _same_kind(value, [clean(name, child) for name, child in children])
        done[id(value)] = value, cleaned
        return cleaned

    def _clean_key(self, key: object) -> object:
        return self._policy.text(key) if _is_str(key) else key

    def _leaf(self, value: object) -> object:
        if _is_text(value):
            return _in_text(self._policy.text, value)
        if not self._policy.is_shown_as_text(type(value)) or self._render is None:
            return value
        try:
            text = self._render(value)
        except Exception:
            return value  # nobody else will see its text either
        clean = self._policy.text(text)
        if clean is text:
            return value
        return clean if self._render is str else _Shown(clean)


class _Hidden(str):
    """The placeholder where a message is formatted: no specification, attribute or index gets anything else of it."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return str(self)

    def __repr__(self) -> str:
        return str(self)

    def __getitem__(self, key: object) -> str:
        return self

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


# Not isinstance, which asks the value as well: a lazy object would wake up to answer.


def _is_str(value: object) -> TypeGuard[str]:
    return issubclass(type(value), str)


def _is_text(value: object) -> TypeGuard[str | bytes]:
    return issubclass(type(value), (str, bytes))


def _is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    return issubclass(type(value), Mapping)


def _is_sequence(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return issubclass(type(value), (list, tuple))


class _Shown:
    """Has the representation that it is given."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _as_str(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


def _in_text(clean: Callable[[str], str], value: str | bytes) -> str | bytes:
    text = _as_str(value)
    cleaned = clean(text)
    if cleaned is text:
        return value
    return cleaned if isinstance(value, str) else cleaned.encode("latin-1")


def _is_blank(value: object) -> bool:
    """Whether there is no secret behind a secret name, which is worth knowing: None, a flag, something empty."""
    if value is None or type(value) is bool:
        return True
    if _is_str(value) and value == PLACEHOLDER:
        return True
    return type(value) in (str, bytes, list, tuple, dict, set, frozenset) and not value


def _children(value: object, *, in_list: bool) -> list[tuple[object, object]] | None:
    """What a container holds, each with its name or None; None for what is no container."""
    if _is_mapping(value):
        return list(value.items())
    if not _is_sequence(value):
        is_set = issubclass(type(value), (set, frozenset))
        return [(None, item) for item in cast("Collection[object]", value)] if is_set else None
    fields = _field_names(value)
    if fields:
        return list(zip(fields, value, strict=True))
    # A header, as ASGI and HTTP clients have lists of them.
    if in_list and len(value) == 2 and _is_text(value[0]):
        return [(None, value[0]), (value[0], value[1])]
    return [(None, item) for item in value]


def _field_names(value: object) -> tuple[str, ...]:
    """Those of a named tuple."""
    names = getattr(type(value), "_fields", ()) if issubclass(type(value), tuple) else ()
    return names if isinstance(names, tuple) and len(names) == len(cast("tuple[object, ...]", value)) else ()


def _same_kind(value: object, items: list[object]) -> object:
    kind = type(value)
    if issubclass(kind, tuple):
        return tuple.__new__(kind if _field_names(value) else tuple, items)
    return frozenset(items) if issubclass(kind, frozenset) else set(items)
