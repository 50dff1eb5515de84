"""Carries an organization's context from Domicile's door into every transaction of the application.

The door decides about each request and hands the application a signed context that lives a minute at
most. The database believes nothing else: `SELECT domicile.enter(<context>)`, once in each transaction,
confines it to that organization. This package keeps the context in a context variable, from the request
(`wsgi`, `asgi`) or the queue (`jobs`) to the database drivers (`psycopg`, `sqlalchemy`), and turns what
the database refuses into exceptions that say what to do.

It decides nothing. Forget it somewhere, and the database refuses the statement.
"""

from .context import Context, current, required, unscoped, use
from .errors import (AutocommitRefused, ContextExpired, ContextInvalid, ContextMissing, ContextRefused,
                     DomicileError, NodeUnavailable, NotServedHere, NotWritableHere, ReferenceReadOnly,
                     RefusedByGuard, RegionClosed, WrongOrganization, explain)

__all__ = ["AutocommitRefused", "Context", "ContextExpired", "ContextInvalid", "ContextMissing",
           "ContextRefused", "DomicileError", "NodeUnavailable", "NotServedHere", "NotWritableHere",
           "ReferenceReadOnly", "RefusedByGuard", "RegionClosed", "WrongOrganization", "current", "explain",
           "required", "unscoped", "use"]
