"""SQLAlchemy 2: every transaction of an engine enters the current organization first.

    engine = create_engine("postgresql+psycopg://...")
    domicile.sqlalchemy.install(engine)                 # an AsyncEngine works too

The `begin` event fires for each transaction, also for those that a Session begins by itself after a
commit, so each of them enters anew. AUTOCOMMIT is refused.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from .context import Context, current, is_unscoped
from .errors import AutocommitRefused, ContextMissing, WrongOrganization, translate

_MARK = "domicile_entered"


def install(engine: Any) -> Any:
    """Returns the engine. Call it once, before the first connection is used."""
    target = getattr(engine, "sync_engine", engine)
    event.listen(target, "begin", _begin)
    event.listen(target, "begin_twophase", lambda connection, _: _begin(connection))
    event.listen(target, "before_cursor_execute", _before)
    event.listen(target, "handle_error", _error, retval=True)
    return engine


def _send(connection: Any, context: Context) -> None:
    """Past SQLAlchemy's own execution, which would write the token into logs and error texts."""
    placeholder = "$1" if connection.dialect.paramstyle == "numeric_dollar" else "%s"
    connection.info[_MARK] = None
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"SELECT domicile.enter({placeholder})", (context.token,))
    except connection.dialect.loaded_dbapi.Error as error:
        known = translate(error)
        if known is None:
            raise
        raise known from error
    finally:
        cursor.close()
    connection.info[_MARK] = context.organization


def _begin(connection: Any) -> None:
    connection.info[_MARK] = None
    if is_unscoped():
        return
    context = current()
    if context is None:
        raise ContextMissing("no organization context here")
    raw = connection.connection.dbapi_connection
    if getattr(raw, "autocommit", False) or connection._is_autocommit_isolation():
        raise AutocommitRefused("this connection is in AUTOCOMMIT")
    _send(connection, context.fresh())


def renew(connection_or_session: Any) -> None:
    """Enters once more with a fresh context: for a transaction that outlives one."""
    connection = connection_or_session
    if hasattr(connection, "connection") and callable(connection.connection):  # a Session
        connection = connection.connection()
    context = current()
    if context is None or connection.info.get(_MARK) != context.organization:
        raise WrongOrganization("this transaction began for another organization than the current one")
    _send(connection, context.fresh())


def _before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    entered = connection.info.get(_MARK)
    if entered is None:
        return  # unscoped: the database refuses what is an organization's
    present = current()
    if present is None or present.organization != entered:
        raise WrongOrganization("this transaction began for another organization than the current one")


def _error(details: Any) -> Any:
    known = translate(details.original_exception)
    if known is not None:
        known.__cause__ = details.original_exception
    return known
