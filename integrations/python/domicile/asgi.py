"""ASGI middleware: Starlette, FastAPI, Django, Quart.

    app.add_middleware(domicile.asgi.ContextMiddleware)
"""

from __future__ import annotations

import logging
from typing import Any, Awaitable, Callable, Optional

from . import web
from .context import Context, use
from .errors import DomicileError

log = logging.getLogger("domicile")


class ContextMiddleware:
    """`answer_errors`: turns a DomicileError that leaves the application into problem+json."""

    def __init__(self, app: Callable[..., Awaitable[None]], answer_errors: bool = True):
        self.app = app
        self.answer_errors = answer_errors

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        def get(name: str) -> Optional[str]:
            return fields.get(name.lower())

        begun = False

        async def watched(message: dict) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        context = Context.from_headers(get)
        with use(context):
            try:
                await self.app(scope, receive, watched)
            except DomicileError as error:
                if begun or not self.answer_errors or scope["type"] != "http":
                    raise
                log.warning("request %s: %s", context.request_id if context else "-", error)
                status, headers, body = web.problem(error, context.request_id if context else "")
                raw = [(name.lower().encode(), value.encode()) for name, value in headers]
                await send({"type": "http.response.start", "status": status, "headers": raw})
                await send({"type": "http.response.body", "body": body})
