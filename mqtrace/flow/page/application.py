"""The ASGI application: questions, what is live, and the page itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mqtrace.flow import STATES, Source
from mqtrace.version import VERSION

from .asking import Asking
from .door import Door, names_of
from .files import File, static_files

__all__ = ["application"]

_VIEWS: Final = ("/", "/traces", "/missing", "/failures", "/trace/{id}")
_TICK_S: Final = 1.0


def application(
    source: Source,
    *,
    names: Collection[str] = names_of("127.0.0.1"),
    token: str | None = None,
    cookie: str = "mqtrace",
    tick_s: float = _TICK_S,
) -> ASGIApp:
    """The page of a source, which the caller closes.

    ``names``: what the Host header may say. ``token``: what has to be shown; None if only this machine can ask.
    ``tick_s``: how often the state is told.
    """
    asking = Asking(source)
    static = static_files()

    async def page(request: Request) -> Response:
        return _file(request, static["index.html"])

    async def file(request: Request) -> Response:
        served = static.get(request.path_params["path"])
        return JSONResponse({"error": "There is no such file."}, 404) if served is None else _file(request, served)

    async def icon(request: Request) -> Response:
        return _file(request, static["favicon.svg"])

    async def about(_: Request) -> Response:
        return JSONResponse({"version": VERSION, "states": STATES})

    async def question(request: Request) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        try:
            parameters = parse_qs(query, keep_blank_values=True, max_num_fields=100, errors="strict")
        except ValueError:
            return JSONResponse({"error": "The parameters are not UTF-8, or more than a hundred."}, 400)
        parameters.pop("token", None)
        status, content = await asking.ask(request.path_params["question"], parameters)
        return Response(content, status, media_type="application/json")

    async def live(_: Request) -> Response:
        return StreamingResponse(_states(asking, tick_s), media_type="text/event-stream")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        asking.close()

    inside = Starlette(
        routes=[
            *(Route(path, page) for path in _VIEWS),
            Route("/favicon.ico", icon),
            Route("/static/{path:path}", file),
            Route("/api/about", about),
            Route("/api/live", live),
            Route("/api/{question}", question),
        ],
        lifespan=lifespan,
    )
    return Door(inside, names, token, cookie)


def _file(request: Request, file: File) -> Response:
    headers = {"etag": file.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(None, 304, headers)
    return Response(file.content, 200, headers, media_type=file.media_type)


async def _states(asking: Asking, tick_s: float) -> AsyncIterator[bytes]:
    """The state, again and again while a browser listens; at first how soon it reconnects if the server ends."""
    yield b"retry: 1000\n\n"
    while True:
        status, content = await asking.ask("state", {})
        if status != 200:  # a source that hangs: the browser hears it from its questions, and here what is wrong
            content = json.dumps({"trouble": json.loads(content)["error"]}).encode()
        yield b"event: state\ndata: " + content + b"\n\n"
        await asyncio.sleep(tick_s)
