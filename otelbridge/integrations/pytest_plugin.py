"""For pytest: the fixture `otelbridge_capture`. Loaded by pytest itself; imports the logger when a test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otelbridge.testing import Capture


@pytest.fixture
def otelbridge_capture() -> Iterator[Capture]:
    """What the test logs: `otelbridge_capture.records`, `.messages`, `.find(message, level=…, **extra)`."""
    from otelbridge.testing import capture

    with capture() as captured:
        yield captured
