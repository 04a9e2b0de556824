"""The customers of the shop: from a seed the same, undisturbed by a shop that is not there, and gone when told."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from otelbridge.cli.customers import UNKNOWN_PRODUCT, Follow, main, visit
from tests.otlp.receivers import OtlpReceiver
from tests.stack.shops import Shop, play, played

COMMAND = [sys.executable, "-m", "otelbridge.cli.customers"]


def test_a_seed_makes_the_same_visits() -> None:
    """The same seed gives the same visits, another one others."""
    first, again, other = (
        [list(visit(choice)) for _ in range(20)] for choice in (random.Random(1), random.Random(1), random.Random(2))
    )

    assert first == again
    assert first != other


def test_visits_have_sessions_of_each_kind() -> None:
    """Some sessions the customer leaves, some the shop ends, and some ask for what nobody sells."""
    choice = random.Random(1)
    sessions = [act for _ in range(50) for act in visit(choice) if isinstance(act, Follow)]

    kinds = Counter((session.leaves, UNKNOWN_PRODUCT in session.products) for session in sessions)

    assert set(kinds) == {(True, False), (False, False), (False, True)}


def test_sessions_end_as_they_were_played(otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Each act leaves one record; sessions are closed by the client, by the server, and by its error, with 1011."""
    shop = Shop("shop", tmp_path, otlp_receiver.endpoint)
    shop.start()
    try:
        act_count = played(play(shop.url, visits=15))
    finally:
        shop.stop()

    sessions = [log.attributes for log in otlp_receiver.logs() if log.item.event_name == "websocket.session"]
    requests = [log for log in otlp_receiver.logs() if log.item.event_name == "http.server.access"]
    assert len(requests) + len(sessions) == act_count
    ends = {(session["websocket.closed_by"], session.get("error.type")) for session in sessions}
    assert ends == {("client", None), ("server", None), ("error", "LookupError")}
    assert {session["websocket.close_code"] for session in sessions if "error.type" in session} == {1011}


def test_a_shop_that_comes_late_is_visited(otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Customers that find no shop come again; SIGTERM sends them home at once, with exit code 0 and one line."""
    shop = Shop("shop", tmp_path, otlp_receiver.endpoint)
    with subprocess.Popen([*COMMAND, shop.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        shop.start()
        try:
            otlp_receiver.wait_for(
                lambda receiver: any(log.attributes.get("http.request.method") == "POST" for log in receiver.logs())
            )
            told_s = time.monotonic()
            running.send_signal(signal.SIGTERM)
            said, complained = running.communicate(timeout=30)
            took_s = time.monotonic() - told_s
        finally:
            running.kill()
            shop.stop()

    assert running.returncode == 0
    assert complained == ""
    assert said.endswith("of them without an answer\n")
    assert took_s < 3


def test_no_shop_at_all_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Who never got an answer says so with exit code 1."""
    previous = signal.getsignal(signal.SIGTERM)
    try:
        code = main(["http://127.0.0.1:9", "--seconds", "1"])
    finally:
        signal.signal(signal.SIGTERM, previous)

    assert code == 1
    assert "of them without an answer" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "https://shop", "http://", "http://shop:port", "http://shop/page"])
def test_wrong_url_is_wrong_usage(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no http://HOST:PORT ends with exit code 2, and says what was expected and what was got."""
    with pytest.raises(SystemExit) as caught:
        main([url])

    assert caught.value.code == 2
    assert f"expected http://HOST or http://HOST:PORT, got {url!r}" in capsys.readouterr().err
