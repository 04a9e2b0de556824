"""Each command is run once; all tests that look at how it went look at the same run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.other_servers.serving import Story, story_of

StoryOf = Callable[[str], Story]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> StoryOf:
    """What became of a run of the command."""
    told: dict[str, Story] = {}

    def tell(line: str) -> Story:
        if line not in told:
            told[line] = story_of(line, tmp_path_factory.mktemp("server"))
        return told[line]

    return tell
