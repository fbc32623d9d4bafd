"""The page of ``mqtrace ui``: a server on this machine, and what a browser draws from its answers.

``serve(source)`` goes on until it is interrupted; ``application(source)`` is the ASGI application inside. The server is
also a SOURCE of the commands (``mqtrace flow http://127.0.0.1:8765``): what it answers is for both.

    GET /api/{question}?{parameters}   one of mqtrace.flow.ask.QUESTIONS, with its parameters; the answer of
                                       `mqtrace.flow.answer`, as JSON
    GET /api/live                      server-sent events: `state`, with the answer to the question `state`, each second
    GET /api/about                     {"version": ..., "states": mqtrace.flow.STATES}
    GET / /traces /missing /failures   the page; the window and the filters are in the query,
        /trace/{id}                    see static/js/address.js

Status 200, also with `null` for a trace of which there is no span. Else the body is {"error": a sentence}: 400 the
question is malformed, 401 the token is missing or wrong, 404 there is no such question, 405 not GET, 421 the Host
header names somebody else, 503 the source cannot be read or took too long.

A server on an address that others reach wants a token, made anew at each start: `Authorization: Bearer TOKEN`, or
`?token=TOKEN` in any address, which a browser then keeps as a cookie. There is no TLS.
"""

from __future__ import annotations

from .application import application
from .serve import serve

__all__ = ["application", "serve"]
