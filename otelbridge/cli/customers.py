"""The customers of the demo's shop: they look around, fill carts, pay, and follow prices over WebSocket.

`otelbridge demo` plays them in its own process. Not a verb: elsewhere, such as in a container, run one of

    python -m otelbridge.cli.customers URL [--customers N] [--seconds S]
    python -m otelbridge.cli.customers URL --visits N --seed S

The second makes the same requests each time. What the shop answers is read and forgotten: its telemetry tells.
"""

from __future__ import annotations

import argparse
import http.client
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage
from wsproto.utilities import ProtocolError

CUSTOMER_COUNT = 2
USERS = ("ada", "grace", "edsger", "barbara", "alan")
PRODUCTS = ("tea", "coffee", "honey", "salt")
UNKNOWN_PRODUCT = "gold"
WISHES = b'{"deliver": "at the back door, after six"}'
PRICES_PATH = "/prices"
PRICES_MAX = 5  # then the shop closes
PAUSE_MIN_S, PAUSE_MAX_S = 0.15, 0.55
RETRY_PAUSE_S = 1.0
TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

# The shop is down, or restarts, or is something else: customers come again. Others watch whether it lives.
_FAILURES = (OSError, http.client.HTTPException, ProtocolError)


class Ask(NamedTuple):
    """A request over HTTP."""

    method: str
    path: str
    body: bytes = b""


class Follow(NamedTuple):
    """A WebSocket session: the customer asks for these prices one by one, and then leaves, or stays until cut off."""

    products: tuple[str, ...]
    leaves: bool


def visit(choice: random.Random) -> Iterator[Ask | Follow]:
    """One customer's visit: looks, fills a cart, mostly pays, and may follow prices."""
    user = choice.choice(USERS)
    yield Ask("GET", "/products")
    for _ in range(choice.randint(1, 3)):
        product = choice.choice(PRODUCTS)
        yield Ask("GET", f"/products/{UNKNOWN_PRODUCT if choice.random() < 0.1 else product}")
        yield Ask("POST", f"/carts/{user}/{product}")
    yield Ask("POST", f"/checkout/{user}", WISHES)
    if choice.random() < 0.5:
        yield _follow(choice)


def _follow(choice: random.Random) -> Follow:
    kind = choice.random()
    if kind < 0.2:
        return Follow((choice.choice(PRODUCTS), UNKNOWN_PRODUCT), leaves=False)
    leaves = kind < 0.7
    count = choice.randint(1, PRICES_MAX - 1) if leaves else PRICES_MAX
    return Follow(tuple(choice.choices(PRODUCTS, k=count)), leaves=leaves)


class Place(NamedTuple):
    """Where the shop listens."""

    host: str
    port: int


class Customers:
    """Customers of the shop, a thread each, for as long as the block runs: some requests per second in all.

    With `visits` each makes so many, without pauses, and goes home.
    """

    def __init__(
        self, place: Place, *, count: int = CUSTOMER_COUNT, visits: int | None = None, seed: int | None = None
    ) -> None:
        self._closing = threading.Event()
        # With a seed, one customer does the same again; several do, too, but find each other's carts.
        choices = [random.Random() if seed is None else random.Random(f"{seed}/{index}") for index in range(count)]
        self._customers = [_Customer(place, choice, visits, self._closing) for choice in choices]

    def __enter__(self) -> Customers:
        for customer in self._customers:
            customer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for customer in self._customers:
            customer.join(max(0.0, deadline_s - time.monotonic()))

    def wait(self, timeout_s: float | None) -> None:
        """Return when all went home, or when the time is over."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        for customer in self._customers:
            customer.join(None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))

    def counts(self) -> tuple[int, int]:
        """How often they asked or followed, and how often the shop did not play its part."""
        return sum(one.act_count for one in self._customers), sum(one.failure_count for one in self._customers)


class _Customer(threading.Thread):
    """One customer; what goes wrong is counted, and the next thing done."""

    def __init__(self, place: Place, choice: random.Random, visits: int | None, closing: threading.Event) -> None:
        super().__init__(name="customer", daemon=True)
        self.act_count = self.failure_count = 0
        self._place = place
        self._choice = choice
        self._visits = visits
        self._closing = closing
        # One of its own: how long somebody waits must not change what is done.
        self._rhythm = random.Random()

    def run(self) -> None:
        """Visit the shop until sent home."""
        connection = http.client.HTTPConnection(*self._place, timeout=TIMEOUT_S)
        visited = 0
        while not self._closing.is_set() and visited != self._visits:
            for act in visit(self._choice):
                self._act(act, connection)
                if self._pause():
                    break
            visited += 1
        connection.close()

    def _act(self, act: Ask | Follow, connection: http.client.HTTPConnection) -> None:
        self.act_count += 1
        try:
            if isinstance(act, Ask):
                connection.request(*act)
                connection.getresponse().read()
            else:
                self._follow(act)
        except _FAILURES:
            self.failure_count += 1
            connection.close()  # and the next request opens it again
            self._closing.wait(RETRY_PAUSE_S)

    def _follow(self, act: Follow) -> None:
        with _Session(self._place) as session:
            session.open()
            for product in act.products:
                if self._pause():
                    session.leave()
                    return
                if not session.ask(product):
                    return
            if act.leaves:
                session.leave()
            else:
                session.await_close()

    def _pause(self) -> bool:
        """Take time, as people do; True: the customer is to go home."""
        if self._visits is not None:
            return self._closing.is_set()
        return self._closing.wait(self._rhythm.uniform(PAUSE_MIN_S, PAUSE_MAX_S))


class _Session:
    """The customer's end of one WebSocket session; raises one of _FAILURES when the shop does not play its part."""

    def __init__(self, place: Place) -> None:
        self._host = f"{place.host}:{place.port}"
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._socket = socket.create_connection(place, TIMEOUT_S)
        self._events = self._receive()

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def open(self) -> None:
        """Begin the session."""
        self._send(Request(host=self._host, target=PRICES_PATH))
        event = next(self._events)
        if not isinstance(event, AcceptConnection):
            raise ProtocolError(f"the shop did not accept a session, but sent {event}")

    def ask(self, product: str) -> bool:
        """Ask for a price, and wait for it; False: the shop closed the session instead."""
        self._send(TextMessage(product))
        return not isinstance(next(self._events), CloseConnection)

    def leave(self) -> None:
        """Close, and wait until the shop has, too."""
        self._send(CloseConnection(code=1000))
        self.await_close()

    def await_close(self) -> None:
        """Wait until the shop closes; what it says meanwhile is of no interest."""
        while not isinstance(next(self._events), CloseConnection):
            pass

    def _send(self, event: Event) -> None:
        self._socket.sendall(self._wire.send(event))

    def _receive(self) -> Iterator[Event]:
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the shop left without a close")
            self._wire.receive_data(data)
            yield from self._wire.events()


def main(argv: Sequence[str] | None = None) -> int:
    """Play customers until told to stop; 1: the shop never answered."""
    parser = argparse.ArgumentParser(prog="python -m otelbridge.cli.customers", description="Customers for the shop.")
    parser.add_argument("place", metavar="URL", type=_place, help="where the shop is, such as http://127.0.0.1:8000")
    parser.add_argument("--customers", metavar="N", type=_count, help=f"at once (default: {CUSTOMER_COUNT})")
    parser.add_argument("--seconds", metavar="S", type=_count, help="stop after so many (default: when told to)")
    parser.add_argument("--visits", metavar="N", type=_count, help="one customer, so many visits without pauses")
    parser.add_argument("--seed", metavar="S", type=int, help="of what they choose")
    arguments = parser.parse_args(argv)
    count = arguments.customers or (CUSTOMER_COUNT if arguments.visits is None else 1)
    # A container is stopped by it. Raised, not set as an event: a handler may come in the middle of a wait for that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    customers = Customers(arguments.place, count=count, visits=arguments.visits, seed=arguments.seed)
    with suppress(KeyboardInterrupt), customers:
        customers.wait(arguments.seconds)
    act_count, failure_count = customers.counts()
    print(f"{act_count} requests and sessions, {failure_count} of them without an answer")
    return 1 if act_count == failure_count else 0


def _place(text: str) -> Place:
    try:
        parts = urlsplit(text)
        if parts.scheme == "http" and parts.hostname and parts.path in ("", "/") and not parts.query:
            return Place(parts.hostname, parts.port or 80)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected http://HOST or http://HOST:PORT, got {text!r}")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 1e9:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")


if __name__ == "__main__":
    sys.exit(main())
