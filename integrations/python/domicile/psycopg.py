"""psycopg 3: connections whose every transaction enters the current organization first.

    pool = ConnectionPool(dsn, connection_class=domicile.psycopg.Connection)
    with pool.connection() as connection:
        connection.execute("SELECT ... FROM course")          # BEGIN, enter, SELECT

A transaction is bound to the organization that was current when it began: a statement under another one
raises WrongOrganization before it is sent. Statements outside of any transaction (autocommit) are
refused, because nothing could confine them. `COMMIT AND CHAIN` and `COMMIT; BEGIN` in one text begin a
transaction that nobody here has seen: the database refuses what follows.
"""

from __future__ import annotations

import contextlib
from typing import Any, AsyncIterator, Iterator, Optional

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from .context import Context, current, is_unscoped
from .errors import AutocommitRefused, ContextMissing, WrongOrganization, translate

ENTER = "SELECT domicile.enter(%s)"
_IDLE, _IN = TransactionStatus.IDLE, TransactionStatus.INTRANS


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        known = translate(error)
        if known is None:
            raise
        raise known from error


class _Entering:
    """Which organization the present transaction entered; shared by both kinds of connections."""

    _domicile_entered: Optional[str] = None

    def _domicile_idle(self) -> bool:
        pgconn = self.pgconn  # type: ignore[attr-defined]
        # In a pipeline the server's word about the transaction comes late: the mark counts alone.
        return pgconn.pipeline_status == PipelineStatus.OFF and pgconn.transaction_status == _IDLE

    def _domicile_wanted(self) -> Optional[Context]:
        """The context to enter before the next statement, or None when that is done or must not be."""
        if self._domicile_idle():
            self._domicile_entered = None
            if self.autocommit and not is_unscoped():  # type: ignore[attr-defined]
                if current() is None:
                    raise ContextMissing("no organization context here")
                raise AutocommitRefused("this connection is in autocommit, outside of any transaction")
        elif self.pgconn.transaction_status == TransactionStatus.INERROR:  # type: ignore[attr-defined]
            return None
        if is_unscoped():
            if self._domicile_entered is not None:
                raise WrongOrganization("this transaction entered an organization: it cannot become unscoped")
            return None
        context = current()
        if self._domicile_entered is not None:
            if context is None or context.organization != self._domicile_entered:
                raise WrongOrganization("this transaction began for another organization than the current one")
            return None
        if context is None:
            raise ContextMissing("no organization context here")
        return context.fresh()


class _CursorMixin:
    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        connection = self.connection  # type: ignore[attr-defined]
        if query != "":  # a pool's check that the connection lives
            connection._domicile_enter()
        with _translated():
            return super().execute(query, params, **kwargs)  # type: ignore[misc]

    def executemany(self, *args: Any, **kwargs: Any) -> Any:
        self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            return super().executemany(*args, **kwargs)  # type: ignore[misc]

    def stream(self, *args: Any, **kwargs: Any) -> Iterator:
        self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            yield from super().stream(*args, **kwargs)  # type: ignore[misc]

    @contextlib.contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator:
        self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            with super().copy(*args, **kwargs) as copy:  # type: ignore[misc]
                yield copy


class Cursor(_CursorMixin, psycopg.Cursor):
    pass


class ServerCursor(_CursorMixin, psycopg.ServerCursor):
    pass


class Connection(_Entering, psycopg.Connection):
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.cursor_factory = Cursor
        self.server_cursor_factory = ServerCursor

    def _domicile_enter(self) -> None:
        context = self._domicile_wanted()
        if context is not None:
            self._domicile_send(context)

    def _domicile_send(self, context: Context) -> None:
        with _translated():
            psycopg.Cursor(self).execute(ENTER, [context.token], prepare=False)
        self._domicile_entered = context.organization

    def renew(self) -> None:
        """Enters once more with a fresh context: for a transaction that outlives one."""
        context = current()
        if context is None or self._domicile_entered is None:
            raise ContextMissing("nothing was entered here")
        if context.organization != self._domicile_entered:
            raise WrongOrganization("this transaction began for another organization than the current one")
        self._domicile_send(context.fresh())

    def commit(self) -> None:
        with _translated():  # deferred checks speak at COMMIT
            super().commit()
        self._domicile_entered = None

    def rollback(self) -> None:
        super().rollback()
        self._domicile_entered = None

    @contextlib.contextmanager
    def transaction(self, savepoint_name: Optional[str] = None, force_rollback: bool = False) -> Iterator:
        outermost = self._domicile_idle()
        if outermost:
            self._domicile_entered = None
        else:
            self._domicile_enter()  # before the savepoint, so that a rollback to it keeps the context
        try:
            with _translated():
                with super().transaction(savepoint_name, force_rollback) as transaction:
                    self._domicile_enter()
                    yield transaction
        finally:
            if outermost:
                self._domicile_entered = None


class _AsyncCursorMixin:
    async def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        connection = self.connection  # type: ignore[attr-defined]
        if query != "":
            await connection._domicile_enter()
        with _translated():
            return await super().execute(query, params, **kwargs)  # type: ignore[misc]

    async def executemany(self, *args: Any, **kwargs: Any) -> Any:
        await self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            return await super().executemany(*args, **kwargs)  # type: ignore[misc]

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator:
        await self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            async for row in super().stream(*args, **kwargs):  # type: ignore[misc]
                yield row

    @contextlib.asynccontextmanager
    async def copy(self, *args: Any, **kwargs: Any) -> AsyncIterator:
        await self.connection._domicile_enter()  # type: ignore[attr-defined]
        with _translated():
            async with super().copy(*args, **kwargs) as copy:  # type: ignore[misc]
                yield copy


class AsyncCursor(_AsyncCursorMixin, psycopg.AsyncCursor):
    pass


class AsyncServerCursor(_AsyncCursorMixin, psycopg.AsyncServerCursor):
    pass


class AsyncConnection(_Entering, psycopg.AsyncConnection):
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.cursor_factory = AsyncCursor
        self.server_cursor_factory = AsyncServerCursor

    async def _domicile_enter(self) -> None:
        context = self._domicile_wanted()
        if context is not None:
            await self._domicile_send(context)

    async def _domicile_send(self, context: Context) -> None:
        with _translated():
            await psycopg.AsyncCursor(self).execute(ENTER, [context.token], prepare=False)
        self._domicile_entered = context.organization

    async def renew(self) -> None:
        context = current()
        if context is None or self._domicile_entered is None:
            raise ContextMissing("nothing was entered here")
        if context.organization != self._domicile_entered:
            raise WrongOrganization("this transaction began for another organization than the current one")
        await self._domicile_send(context.fresh())

    async def commit(self) -> None:
        with _translated():
            await super().commit()
        self._domicile_entered = None

    async def rollback(self) -> None:
        await super().rollback()
        self._domicile_entered = None

    @contextlib.asynccontextmanager
    async def transaction(self, savepoint_name: Optional[str] = None, force_rollback: bool = False) -> AsyncIterator:
        outermost = self._domicile_idle()
        if outermost:
            self._domicile_entered = None
        else:
            await self._domicile_enter()
        try:
            with _translated():
                async with super().transaction(savepoint_name, force_rollback) as transaction:
                    await self._domicile_enter()
                    yield transaction
        finally:
            if outermost:
                self._domicile_entered = None
