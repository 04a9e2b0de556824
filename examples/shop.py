"""A small shop: the service that `make demo` runs, and an example to copy from.

    hypercorn examples/shop.py:app

A bare ASGI app; one line at the end instruments it. So that there is something to see, every third payment is slow,
every fourth is declined, every seventh is lost, and whoever follows the price of what nobody sells is cut off.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry import trace

import otelbridge
from otelbridge import logger

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PRODUCTS = {"tea": 4.5, "coffee": 7.9, "honey": 6.2, "salt": 1.1}
LINES_PER_CART_MAX = 20
CARTS_MAX = 1_000
PRICES_MAX = 5  # per session
SLOW_EVERY, DECLINED_EVERY, LOST_EVERY = 3, 4, 7  # payments

carts: dict[str, list[str]] = {}
payments = itertools.count(1)
tracer = trace.get_tracer("shop")


class PaymentError(Exception):
    """The payment service said no."""


async def list_products() -> tuple[int, object]:
    return 200, PRODUCTS


async def show_product(name: str) -> tuple[int, object]:
    if name not in PRODUCTS:
        logger.warning("Nobody sells {product}", product=name)
        return 404, {"error": "no such product"}
    return 200, {"name": name, "price": PRODUCTS[name]}


async def add_to_cart(user: str, product: str) -> tuple[int, object]:
    if product not in PRODUCTS or (user not in carts and len(carts) >= CARTS_MAX):
        return 404, {"error": "no such product, or too many carts"}
    cart = carts.setdefault(user, [])
    if len(cart) >= LINES_PER_CART_MAX:
        return 409, {"error": "the cart is full"}
    cart.append(product)
    logger.debug("{product} put into the cart", product=product, lines=len(cart))
    return 200, cart


async def check_out(user: str) -> tuple[int, object]:
    cart = carts.pop(user, [])
    total = round(sum(PRODUCTS[product] for product in cart), 2)
    with logger.contextualize(user=user):  # everything logged in here, and below, carries the user
        if not cart:
            logger.info("An empty cart was checked out")
            return 409, {"error": "the cart is empty"}
        try:
            await pay(total)
        except PaymentError:
            logger.exception("Order of {total} euros was not paid", total=total)
            return 502, {"error": "the payment was declined"}
        logger.success("Order of {total} euros paid", total=total, lines=len(cart))
    return 200, {"paid": total}


async def pay(total: float) -> None:
    with tracer.start_as_current_span("charge the card") as span:  # a child of the request's span
        span.set_attribute("shop.total", total)
        number = next(payments)
        slow = number % SLOW_EVERY == 0
        await asyncio.sleep(random.uniform(0.5, 1.2) if slow else random.uniform(0.02, 0.06))
        if slow:
            logger.warning("The payment service is slow")
        if number % DECLINED_EVERY == 0:
            raise PaymentError("card declined")
        if number % LOST_EVERY == 0:
            raise ConnectionError("the payment service hung up")  # nobody catches it: the server answers, with 500


async def tell_prices(receive: Receive, send: Send) -> None:
    """A WebSocket: the customer names products, and gets a price for each, until one of the two closes."""
    await receive()  # the wish to connect
    await send({"type": "websocket.accept"})
    for _ in range(PRICES_MAX):
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        product = message.get("text")
        if product not in PRODUCTS:
            raise LookupError("nobody sells what is followed")  # the server closes, with 1011
        price = PRODUCTS[product] * random.uniform(0.9, 1.1)
        await send({"type": "websocket.send", "text": json.dumps({"name": product, "price": f"{price:.2f}"})})
    logger.info("{count} prices are enough for one session", count=PRICES_MAX)
    await send({"type": "websocket.close", "code": 1000})


ROUTES: list[tuple[str, str, Callable[..., Awaitable[tuple[int, object]]]]] = [
    ("GET", "/products", list_products),
    ("GET", "/products/{name}", show_product),
    ("POST", "/carts/{user}/{product}", add_to_cart),
    ("POST", "/checkout/{user}", check_out),
]
MATCHERS = [
    (method, path, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[a-z]{1,20})", path)), act) for method, path, act in ROUTES
]


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket" and scope["path"] == "/prices":
        scope["route"] = "/prices"
        await tell_prices(receive, send)
        return
    if scope["type"] != "http":
        raise RuntimeError(f"the shop speaks http, and WebSocket at /prices, got {scope['type']} {scope.get('path')}")
    status: int = 404
    answer: object = {"error": "no such page"}
    for method, path, matcher, act in MATCHERS:
        match = matcher.fullmatch(scope["path"])
        if match and method == scope["method"]:
            scope["route"] = path  # what metrics are grouped by; frameworks set this themselves
            if method == "POST":
                await receive()  # the customer's wishes: read, and forgotten
            await asyncio.sleep(random.uniform(0.001, 0.008))  # the database, let us say
            status, answer = await act(**match.groupdict())
            break
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = otelbridge.instrument(shop)
