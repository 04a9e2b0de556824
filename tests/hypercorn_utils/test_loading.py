"""From a path to an application: what Hypercorn loads, and what is refused with one sentence."""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypercorn.utils
import pytest
from hypercorn.app_wrappers import ASGIWrapper, WSGIWrapper
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config
from hypercorn.typing import AppWrapper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge.hypercorn.utils import NoAppError, is_asgi, load_application, wrap_app
from tests.hypercorn_utils.conftest import WriteModule

MIB = 1024 * 1024
DEADLINE_S = 10.0

SHOP = """
import functools, types

async def app(scope, receive, send): ...
def application(environ, start_response): ...

class Service:
    def __init__(self): self.nested = app
    async def __call__(self, scope, receive, send): ...
    async def without_arguments(self): ...

service = Service()
apps = {"x": app}
by_partial = functools.partial(app)
text, number, nothing, module = "app", 1, None, types
def create(): return app
async def create_later(): return app
def create_from(settings): return app
def broken(): return undefined_name
def lacking(): return service.absent
class Lazy:
    def __init__(self, import_name, static_folder=None, host=None): ...
    def __call__(self, environ, start_response): ...
"""


@pytest.fixture
def shop(write_module: WriteModule) -> None:
    """A module of applications and of what looks like one, by the name of `shop`."""
    write_module("shop.py", SHOP)


def refusal(path: str) -> NoAppError:
    """The error that `path` is refused with: one line that names the path."""
    with pytest.raises(NoAppError) as refused:
        load_application(path)
    assert repr(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    return refused.value


@pytest.mark.covers("2.1")
@pytest.mark.parametrize(
    "path",
    [
        "shop",
        "shop:app",
        "shop:application",
        "shop:service",
        "shop:service.nested",
        "shop:apps['x']",
        "shop:{'a:b:c': app}['a:b:c']",
        "shop:create()",
        "shop: app",
        "shop:by_partial",
        "asgi:shop:app",
        "wsgi:shop:application",
        "shop.py",
        "shop.py:app",
        "asgi:shop.py:app",
        "./shop.py:service",
        "inner/market.py:app",
        "inner/market:app",
        "inner.market:app",
    ],
)
def test_a_path_that_hypercorn_loads_loads_the_same(path: str, shop: None, write_module: WriteModule) -> None:
    """Same wrapper, same application, same limit of the body, same first entry of sys.path."""
    write_module("inner/market.py", SHOP)

    ours = load_application(path, 5 * MIB)
    first = sys.path[0]
    theirs = hypercorn.utils.load_application(path, 5 * MIB)

    assert type(ours) is type(theirs)
    assert vars(ours) == vars(theirs)
    assert first == sys.path[0]


@pytest.mark.covers("2.1")
def test_an_absolute_file_is_loaded_from_anywhere(write_module: WriteModule) -> None:
    """`/srv/market.py:app` needs no working folder."""
    path = write_module("elsewhere/market.py", SHOP)

    wrapped = load_application(f"{path}:app")

    assert isinstance(wrapped, ASGIWrapper)
    assert sys.modules["market"].__file__ == str(path)


@pytest.mark.covers("2.1")
def test_the_limit_of_wsgi_bodies_is_16_mib_unless_given(shop: None) -> None:
    """`load_application("m:app")` and `wrap_app(app)` go without a limit given."""
    loaded = load_application("shop:application")
    wrapped = wrap_app(lambda environ, start_response: [])

    assert isinstance(loaded, WSGIWrapper)
    assert isinstance(wrapped, WSGIWrapper)
    assert (loaded.max_body_size, wrapped.max_body_size) == (16 * MIB, 16 * MIB)


@pytest.mark.covers("2.1")
def test_sys_path_holds_the_folder_once(shop: None, folder: Path) -> None:
    """However often an application is loaded, its folder is first on sys.path and stands there once."""
    sys.path.append(str(folder))

    for _ in range(3):
        load_application("shop:app")

    assert sys.path[0] == str(folder)
    assert sys.path.count(str(folder)) == 1


@pytest.mark.covers("2.1", note="a missing module is an ImportError as well as NoAppError, and close names are named")
@pytest.mark.parametrize(
    ("path", "missing", "hint"),
    [
        ("shpo:app", "shpo", "did you mean 'shop'?"),
        ("shop.sub:app", "shop.sub", "got none"),
        ("absent_one.sub:app", "absent_one", "got none"),
        ("absent.py:app", "absent", "got none"),
        ("email.mim:app", "email.mim", "did you mean 'email.mime'"),
        (".shop:app", ".shop", "got none"),
        ("/:app", "", "got none"),
    ],
)
def test_a_missing_module_is_no_app_and_an_import_error(path: str, missing: str, hint: str, shop: None) -> None:
    """Both of Hypercorn's error and of the document's, with the module's name on it."""
    error = refusal(path)

    assert isinstance(error, ModuleNotFoundError)
    assert error.name == missing
    assert hint in str(error)


@pytest.mark.covers("2.1", note="a missing name is an AttributeError as well as NoAppError, also in `m:a.b`")
@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("shop:aplication", "must have 'aplication', got none; did you mean 'application'?"),
        ("shop:zzz", "did you mean 'app' or 'application' or 'service'?"),
        ("shop:service.nestd", "an instance of 'Service' must have 'nestd', got none; did you mean 'nested'?"),
        ("shop:Service.zzz", "the class 'Service' must have 'zzz', got none"),
        ("shop:module.zzz", "the module 'types' must have 'zzz'"),
        ("asgi:shop:ap", "did you mean 'app'"),
    ],
)
def test_a_missing_name_is_no_app_and_an_attribute_error(path: str, hint: str, shop: None) -> None:
    """Both errors, and the names that may have been meant."""
    error = refusal(path)

    assert isinstance(error, AttributeError)
    assert hint in str(error)


@pytest.mark.covers("2.1")
@pytest.mark.parametrize("name", ["zzz", "_ap"])
def test_what_is_private_or_imported_is_no_hint(name: str, write_module: WriteModule) -> None:
    """A tool of two arguments is not offered for an application, nor what the module keeps to itself."""
    write_module(
        "tools.py",
        """
from email.utils import formataddr
from typing import Optional

async def _app(scope, receive, send): ...
""",
    )

    assert str(refusal(f"tools:{name}")).endswith(f"must have {name!r}, got none")


@pytest.mark.covers("2.1", note="what is no application is refused; Hypercorn takes any object for a WSGI application")
@pytest.mark.parametrize(
    ("path", "got"),
    [
        ("shop:text", "got an instance of 'str'; did you mean 'app' or 'application' or 'service'?"),
        ("shop:number", "got an instance of 'int'"),
        ("shop:nothing", "got None"),
        ("shop:module", "got the module 'types'"),
        ("shop:Service", "got the class 'Service'; did you mean 'Service()'?"),
        ("shop:Lazy", "got the class 'Lazy'; did you mean 'app'"),
        ("shop:create", "got the function 'create'; did you mean 'create()'?"),
        ("shop:create_later", "got the function 'create_later'; did you mean 'app'"),
        ("shop:create_later()", "got the coroutine of 'create_later', which nobody awaits"),
        ("shop:create_from", "got the function 'create_from'"),
        ("shop:service.without_arguments", "got the function 'Service.without_arguments'"),
        ("shop:create_from()", "got TypeError("),
        ("shop:apps['y']", "got KeyError('y')"),
        ("shop:", "got ''"),
        ("shop:1app", "got '1app'"),
        ("shop:a\0b", "got 'a\\x00b'"),
    ],
)
def test_what_is_no_application_is_refused_at_once(path: str, got: str, shop: None) -> None:
    """The error says what was expected and what was got, and no coroutine is left behind."""
    error = refusal(path)

    assert got in str(error)
    if "got an instance" in got or "got the" in got:
        assert "must be an ASGI application (scope, receive, send) or a WSGI application" in str(error)
        assert isinstance(error, TypeError)


@pytest.mark.covers("2.1")
@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("bad:app", "import absent_module_of_ours", ModuleNotFoundError),
        ("bad:app", "import ba", ModuleNotFoundError),
        ("bad:app", "raise ModuleNotFoundError", ModuleNotFoundError),
        ("bad:app", "from email import absent", ImportError),
        ("bad:app", "1 / 0", ZeroDivisionError),
        ("bad:app", "def app(:", SyntaxError),
        ("bad:app", "raise SystemExit(3)", SystemExit),
        ("shop:broken()", "", NameError),
        ("shop:lacking()", "", AttributeError),
    ],
)
def test_errors_of_the_module_itself_pass_unchanged(
    path: str, text: str, expected: type[BaseException], shop: None, write_module: WriteModule
) -> None:
    """What the user's code raises is not taken for a mistake in the path."""
    write_module("bad.py", text)

    with pytest.raises(expected) as raised:
        load_application(path)

    assert type(raised.value) is expected


@pytest.mark.covers("2.1")
def test_a_mode_that_is_neither_is_a_value_error(shop: None) -> None:
    """`http:m:app` is refused before anything is imported."""
    with pytest.raises(ValueError, match=r"must be 'asgi' or 'wsgi', got 'http' in 'http:absent:app'"):
        load_application("http:absent:app")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(path=st.text("qz.:_()[]/'1 \0", max_size=12))
def test_any_path_is_loaded_or_refused(path: str, folder: Path) -> None:
    """No text makes loading fail in another way than its two errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # `1()` in a path
        with pytest.raises((NoAppError, ValueError)):
            load_application(path)


FRAMEWORKS = """
from flask import Flask, current_app, g, request
from fastapi import FastAPI
from quart import Quart
from starlette.endpoints import HTTPEndpoint

api, page, async_page = FastAPI(), Flask(__name__), Quart(__name__)
update = dict.update

class Endpoint(HTTPEndpoint): ...
"""


@pytest.mark.covers("2.1")
def test_frameworks_applications_are_loaded(write_module: WriteModule) -> None:
    """Each by its own interface; and beside proxies that answer nothing yet, a missing name still gets its hint."""
    write_module("site_of_ours.py", FRAMEWORKS)

    loaded = [type(load_application(f"site_of_ours:{name}")) for name in ("api", "page", "async_page", "Endpoint")]
    error = refusal("site_of_ours:zzz")

    assert loaded == [ASGIWrapper, WSGIWrapper, ASGIWrapper, ASGIWrapper]
    assert "site_of_ours.py) must have 'zzz', got none; did you mean 'api' or 'page' or 'async_page'?" in str(error)
    for name in ("Flask", "FastAPI", "g", "request", "current_app"):
        refusal(f"site_of_ours:{name}")


async def by_coroutine(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI application."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def by_awaitable(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    """What a closure or a decorator leaves: ASGI, though no coroutine function."""
    return by_coroutine(scope, receive, send)


async def with_anything(*args: Any) -> None:
    """ASGI for certain: WSGI is never awaited."""
    await by_coroutine(*args)


class Endpoint:
    """ASGI as a class: each call makes an instance that is awaited."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.args = scope, receive, send

    def __await__(self) -> Iterator[Any]:
        return by_coroutine(*self.args).__await__()


class Service:
    """ASGI by an instance; the class itself is none."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await by_coroutine(scope, receive, send)


def by_function(environ: Any, start_response: Any) -> list[bytes]:
    """A plain WSGI application."""
    start_response("200 OK", [])
    return [b"served"]


class Page:
    """WSGI as a class: each call makes an instance that is iterated (PEP 3333)."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        start_response("200 OK", [])

    def __iter__(self) -> Iterator[bytes]:
        yield b"served"


def by_either(*args: Any) -> Any:
    """Its arguments do not tell which it is."""
    return by_function(*args) if len(args) == 2 else by_coroutine(*args)


ASGI = [
    by_coroutine,
    by_awaitable,
    with_anything,
    Endpoint,
    Service(),
    functools.partial(by_coroutine),
    ASGIWrapper(by_coroutine),
]
WSGI = [by_function, Page, by_either, functools.partial(by_function), WSGIWrapper(by_function, MIB)]


@contextmanager
def serving(app: AppWrapper) -> Iterator[int]:
    """Serve a wrapped application by Hypercorn's own worker on a free port of 127.0.0.1; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = 1.0
    config.loglevel = "CRITICAL"
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    port: int = listener.getsockname()[1]

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(worker_serve(app, config, shutdown_trigger=stop.wait))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(DEADLINE_S)
        loop.close()
        listener.detach()  # Hypercorn has closed it


@pytest.mark.covers("2.2")
@pytest.mark.parametrize("app", [*ASGI, *WSGI], ids=repr)
def test_an_application_that_is_accepted_is_served(app: Any) -> None:
    """Whatever passes is called the right way: over a real socket it answers."""
    with serving(wrap_app(app)) as port:
        response = httpx.get(f"http://127.0.0.1:{port}/", timeout=DEADLINE_S)

    assert (response.status_code, response.text) == (200, "served")


@pytest.mark.covers("2.2", note="mode may be left out, as the document says; Hypercorn demands it")
@pytest.mark.parametrize(
    ("apps", "mode", "wrapper"), [(ASGI, "asgi", ASGIWrapper), (WSGI, "wsgi", WSGIWrapper)], ids=["asgi", "wsgi"]
)
def test_a_mode_that_fits_is_what_would_be_found(apps: list[Any], mode: str, wrapper: type) -> None:
    """With and without its mode an application gets the same wrapper, once."""
    for app in apps:
        found, told = wrap_app(app), wrap_app(app, MIB, mode)

        assert type(found) is type(told) is wrapper
        assert vars(found)["app"] is vars(told)["app"] is getattr(app, "app", app)


@pytest.mark.covers(
    "2.2", note="a mode that cannot be right is a ValueError; Hypercorn serves and fails at each request"
)
@pytest.mark.parametrize(("apps", "mode"), [(ASGI, "wsgi"), (WSGI, "asgi")], ids=["as wsgi", "as asgi"])
def test_a_mode_that_does_not_fit_is_a_value_error(apps: list[Any], mode: str, shop: None) -> None:
    """A coroutine function is never WSGI, and two arguments are never ASGI."""
    for app in apps:
        if app is not by_either:
            with pytest.raises(ValueError, match=rf"^mode must be '\w+' for .*, got {mode!r}"):
                wrap_app(app, mode=mode)

    with pytest.raises(ValueError, match=r"^mode must be 'asgi' for the function 'app'"):
        load_application("wsgi:shop:app")


@pytest.mark.covers("2.2")
def test_the_mode_is_believed_where_arguments_do_not_tell() -> None:
    """`def app(*args)` is WSGI unless it is said to be ASGI."""
    assert type(wrap_app(by_either)) is WSGIWrapper
    assert type(wrap_app(by_either, mode="asgi")) is ASGIWrapper


@pytest.mark.covers("2.2")
@pytest.mark.parametrize("mode", ["http", "ASGI", ""])
def test_an_unknown_mode_is_a_value_error(mode: str) -> None:
    """There are two modes, in lower case."""
    with pytest.raises(ValueError, match=rf"^mode must be 'asgi', 'wsgi' or None, got {mode!r}"):
        wrap_app(by_coroutine, mode=mode)


@pytest.mark.covers("2.2", note="what can be called neither way is a TypeError; Hypercorn wraps anything")
@pytest.mark.parametrize("mode", [None, "asgi", "wsgi"])
@pytest.mark.parametrize("app", ["app", None, sys, Service, object(), lambda: None, asyncio.sleep])
def test_what_can_be_called_neither_way_is_a_type_error(app: object, mode: str | None) -> None:
    """A class that needs an instance is none, and no mode makes it one."""
    with pytest.raises(TypeError, match=r"^app must be an ASGI application .* or a WSGI application .*, got "):
        wrap_app(app, mode=mode)


@pytest.mark.covers("2.2")
def test_a_wrapped_application_takes_the_new_limit() -> None:
    """Wrapping the result of load_application(), as the document does, wraps once; the last limit holds."""
    wrapped = wrap_app(wrap_app(by_function, MIB), 2 * MIB)

    assert isinstance(wrapped, WSGIWrapper)
    assert (wrapped.app, wrapped.max_body_size) == (by_function, 2 * MIB)


@pytest.mark.covers("2.3", note="the function looks at `async def` only, as Hypercorn's; wrap_app() looks at arguments")
@pytest.mark.parametrize(
    ("app", "expected"),
    [(by_coroutine, True), (Service(), True), (by_function, False), (by_awaitable, False), ("app", False)],
)
def test_is_asgi_is_hypercorns(app: Callable[..., Any], expected: bool) -> None:
    """A coroutine function, or an object whose call is one."""
    assert is_asgi is hypercorn.utils.is_asgi
    assert is_asgi(app) is expected
