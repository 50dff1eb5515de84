"""WSGI middleware: Flask, Django, Pyramid, Bottle. The application must be reachable through the door alone:
its fields are believed for routing and display; the database believes only the signed context.

    app.wsgi_app = domicile.wsgi.ContextMiddleware(app.wsgi_app)
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Iterable, Optional

from . import web
from .context import Context, _current
from .errors import DomicileError

log = logging.getLogger("domicile")


class ContextMiddleware:
    """`answer_errors`: turns a DomicileError that leaves the application into problem+json."""

    def __init__(self, application: Callable, answer_errors: bool = True):
        self.application = application
        self.answer_errors = answer_errors

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        def get(name: str) -> Optional[str]:
            return environ.get("HTTP_" + name.upper().replace("-", "_"))

        context = Context.from_headers(get)
        mark = _current.set(context)
        try:
            answer = self.application(environ, start_response)
        except DomicileError as error:
            _current.reset(mark)
            if not self.answer_errors:
                raise
            log.warning("request %s: %s", context.request_id if context else "-", error)
            status, headers, body = web.problem(error, context.request_id if context else "")
            start_response(f"{status} {web.PHRASES.get(status, 'Error')}",
                           [*headers, ("Content-Length", str(len(body)))])
            return [body]
        except BaseException:
            _current.reset(mark)
            raise
        _current.reset(mark)
        # A list is there already; a generator does its work while it is read, and needs the context then.
        return answer if isinstance(answer, (list, tuple)) else _Streamed(answer, context)


class _Streamed:
    def __init__(self, answer: Iterable[bytes], context: Optional[Context]):
        self._answer = answer
        self._iterator: Any = None
        self._context = context

    def __iter__(self) -> "_Streamed":
        return self

    def __next__(self) -> bytes:
        mark = _current.set(self._context)
        try:
            if self._iterator is None:
                self._iterator = iter(self._answer)
            return next(self._iterator)
        finally:
            _current.reset(mark)

    def close(self) -> None:
        mark = _current.set(self._context)
        try:
            if hasattr(self._answer, "close"):
                self._answer.close()
        finally:
            _current.reset(mark)
