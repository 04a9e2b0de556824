"""`--reload`: changed code and configuration are served without a restart, broken ones change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.serving import Served, serving, wait_until

# What it answers comes from a module that it imports.
APP = """
import words

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": words.ANSWER + b" " + scope["root_path"].encode()})
"""


def write(folder: Path, answer: str) -> None:
    """Change the module that the application imports."""
    # Python's caches take two texts of one size and one second for the same.
    (folder / "words.py").write_text(f"ANSWER = b{answer!r}\n{'#' * len(list(folder.iterdir()))}\n")
    (folder / f"{len(list(folder.iterdir()))}.count").touch()


@contextmanager
def reloading(folder: Path, *options: str, app: str = APP) -> Iterator[Served]:
    """A server that watches its files."""
    write(folder, "first")
    with serving(folder, "--reload", *options, app=app) as served:
        assert served.get().split()[0] == "first"
        yield served


def await_answer(served: Served, answer: str) -> None:
    """Return when that is what it answers."""
    wait_until(lambda: served.get().strip() == answer, f"nobody answers {answer}:\n{served.err}")


@pytest.mark.covers("3.12")
@pytest.mark.parametrize("worker_class", ["asyncio", "trio"])
def test_a_changed_file_is_served(tmp_path: Path, worker_class: str) -> None:
    """
    A change of a module that the application imports brings workers with the new code, again and again.
    """
    with reloading(tmp_path, "-k", worker_class) as served:
        for answer in ("second", "third"):
            write(tmp_path, answer)
            await_answer(served, answer)
        assert served.stop() == 0


@pytest.mark.covers("3.12", note="broken code leaves the old workers; Hypercorn ends then")
@pytest.mark.parametrize("mistake", ["ANSWER = (", "raise SystemExit"])
def test_broken_code_changes_nothing_until_it_is_mended(tmp_path: Path, mistake: str) -> None:
    """
    With broken code the workers of before go on; when it is mended, the new code is served without a restart.
    """
    with reloading(tmp_path) as served:
        (tmp_path / "words.py").write_text(mistake)
        served.await_line("could not take over: ")
        assert served.get().strip() == "first"
        write(tmp_path, "mended")
        await_answer(served, "mended")
        assert served.stop() == 0


@pytest.mark.covers("3.12")
def test_the_application_itself_may_break_and_be_mended(tmp_path: Path) -> None:
    """
    A mistake in the application's own module is waited out like any other.
    """
    with reloading(tmp_path) as served:
        (tmp_path / "app.py").write_text("async def app(")
        served.await_line("could not take over: .*SyntaxError")
        assert served.get().strip() == "first"
        (tmp_path / "app.py").write_text(APP.replace("words.ANSWER", "b'mended'"))
        await_answer(served, "mended")


@pytest.mark.covers("3.12")
def test_a_file_that_was_away_for_a_while(tmp_path: Path) -> None:
    """
    A module that is removed and comes back, as with a change of branches, is served as it came back.
    """
    with reloading(tmp_path) as served:
        (tmp_path / "words.py").unlink()
        served.await_line("could not take over: .*words")
        assert served.get().strip() == "first"
        write(tmp_path, "returned")
        await_answer(served, "returned")


@pytest.mark.covers("3.12")
@pytest.mark.covers("3.9")
def test_a_changed_configuration_is_read_again(tmp_path: Path) -> None:
    """
    A change of the -c file counts as one of the code, and holds for the new workers.
    """
    (tmp_path / "server.toml").write_text('root_path = "/a"\n')
    with reloading(tmp_path, "-c", "server.toml") as served:
        await_answer(served, "first /a")
        (tmp_path / "server.toml").write_text('root_path = "/bb"\n')
        await_answer(served, "first /bb")


@pytest.mark.covers("3.12")
def test_without_the_option_nothing_is_watched(tmp_path: Path) -> None:
    """
    Changed files alone change nothing: deploying is not asking.
    """
    write(tmp_path, "first")
    with serving(tmp_path, app=APP) as served:
        before = served.workers()
        write(tmp_path, "second")
        with pytest.raises(AssertionError, match="no other"):
            wait_until(lambda: served.workers() != before, "no other worker", 2.5)
        assert served.get().strip() == "first"
