"""The routes of the Django application in `hosts`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.decorators.http import require_safe

from tests.integrations.hosts import PARTS, BrokenError, look


@require_safe  # type: ignore[untyped-decorator]
def item(request: Any, id: str) -> HttpResponse:  # noqa: A002
    look()
    return HttpResponse("hello")


def boom(request: Any) -> HttpResponse:
    raise BrokenError("broken")


def thread(request: Any) -> HttpResponse:
    look()
    return HttpResponse("hello")


def stream(request: Any) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        for part in PARTS:
            yield part

    return StreamingHttpResponse(parts() if hasattr(request, "scope") else PARTS)


def echo(request: Any) -> HttpResponse:
    return HttpResponse(request.body)


urlpatterns = [
    path("items/<id>", item),
    path("sub/", include([path("items/<id>", item)])),
    path("stream", stream),
    path("echo", echo),
    path("boom", boom),
    path("thread", thread),
    re_path(r"^years/(?P<id>[0-9]{4})$", item),
    path("", thread),
]
