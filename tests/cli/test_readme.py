"""What README.md shows is true: its code runs, its five lines do what it says."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otelbridge.cli import demo
from otelbridge.viewer.receive import Receiver
from otelbridge.viewer.store import LogLine, Store

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

MYSHOP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("not here")
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def lines_of(store: Store, count: int, timeout_s: float = 20.0) -> list[LogLine]:
    """Wait until the store has *count* lines."""
    deadline_s = time.monotonic() + timeout_s
    while store.counts().logs < count:
        assert time.monotonic() < deadline_s, f"{store.counts().logs} of {count} log records came"
        time.sleep(0.05)
    return store.lines_since(0)[0]


def test_five_lines_are_five_and_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's first code, on Hypercorn: its message arrives, and a request's access record under its trace id."""
    (tmp_path / "shop.py").write_text(BLOCKS[0])
    (tmp_path / "myshop.py").write_text(MYSHOP)
    monkeypatch.setattr(demo, "shop_file", lambda: tmp_path / "shop.py")
    store = Store()
    with Receiver(store) as receiver, demo.Shop(receiver.endpoint) as shop:
        connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10.0)
        connection.request("GET", "/products", headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})
        assert connection.getresponse().read() == b"hello"
        connection.close()
        ready, access = lines_of(store, 2)

    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) == 5
    assert (ready.body, ready.attributes["count"]) == ("Ready with 4 products", 4)
    assert (access.event_name, access.trace_id) == ("http.server.access", TRACE_ID)


def test_other_blocks_run_as_shown(tmp_path: Path) -> None:
    """The README's other code runs as it stands, and its records arrive with the ids and attributes it names."""
    program = "import otelbridge\nfrom otelbridge import logger\notelbridge.configure()\n" + "".join(BLOCKS[1:])
    store = Store()
    with Receiver(store) as receiver:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=demo.shop_environment(os.environ, receiver.endpoint),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = lines_of(store, 7)

    assert (lines[0].body, lines[0].attributes["id"], lines[0].attributes["ms"]) == ("Job 7 took 12 ms", 7, 12)
    assert lines[1].attributes["region"] == "eu"
    assert lines[2].attributes["exception.type"] == "ValueError"
    assert (lines[3].attributes["order"], len(lines[3].trace_id)) == (7, 32)
    assert "Asking the bank" in (tmp_path / "app.log").read_text("utf-8")
    assert "Asking the bank" in (tmp_path / "app.json").read_text("utf-8")
    assert [line.trace_id for line in lines[4:]] == [TRACE_ID, TRACE_ID, ""]
    assert lines[4].attributes["user"] == "ada"
    assert lines[6].attributes["trace_id"] == "xyz-789"


def test_commands_exist() -> None:
    """Each make target that the README names is in the Makefile, beside the line for machines without make."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^ +make (\w+)", README, re.MULTILINE))

    assert targets == {"demo", "test", "backends", "full", "check", "bench"}
    for target in targets:
        assert f"\n{target}:\n\t@$(PYTHON) -m tools {target}" in makefile
        assert f"python3 -m tools {target} " in README


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    """Each file that the README links to exists."""
    assert (ROOT / path).exists()
