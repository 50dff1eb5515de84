"""What can go wrong, as exceptions with a remedy. `code` is stable and the same in every integration and
in `domicile explain --sql-error`; `status` is what an HTTP answer should say.

TABLE maps what the guard raises: SQLSTATE, then the constraint's name or a part of the message.
"""

from __future__ import annotations

from typing import Optional


class DomicileError(Exception):
    code = "refused"
    status = 500
    remedy = ""

    def __init__(self, message: str = "", sqlstate: Optional[str] = None):
        super().__init__(message or self.remedy)
        self.message = message or self.remedy
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        return f"{self.message} ({self.code}: {self.remedy})" if self.remedy != self.message else self.message


class ContextMissing(DomicileError):
    code = "context_missing"
    remedy = ("Run this inside a request that came through the door (ContextMiddleware), inside a job "
              "(domicile.jobs), or, for reference data alone, inside domicile.unscoped().")


class ContextExpired(DomicileError):
    code = "context_expired"
    status = 503
    remedy = ("A context lives a minute: open transactions late, keep them short, and take long work into a "
              "job, where domicile.jobs fetches a fresh context for each transaction.")


class ContextInvalid(DomicileError):
    code = "context_invalid"
    status = 403
    remedy = ("Hand the Domicile-Context header on unchanged, to the database of the region whose door sent it. "
              "If it is unchanged, the node signs with a key that this database does not know: domicile doctor.")


class NotServedHere(DomicileError):
    code = "not_served_here"
    status = 503
    remedy = ("The organization moved, is suspended, or this is another region's database. Ask again at the "
              "organization's home; a job must be queued again there.")


class WrongOrganization(DomicileError):
    code = "wrong_organization"
    status = 403
    remedy = ("One transaction is about one organization, and its rows carry that organization's key: end the "
              "transaction before the next organization's work, and do not take the key from the request's body.")


class NotWritableHere(DomicileError):
    code = "not_writable_here"
    status = 503
    remedy = "The organization is homed elsewhere, suspended or being moved: domicile org show says where."


class RegionClosed(DomicileError):
    code = "region_closed"
    status = 503
    remedy = "The server was promoted or restored: domicile region reconcile opens the region."


class ReferenceReadOnly(DomicileError):
    code = "reference_read_only"
    status = 409
    remedy = "Change reference data in the master region; it arrives here by the reference sync."


class RefusedByGuard(DomicileError):
    code = "refused_by_guard"
    remedy = "The guard refuses this statement for everybody: the message says which and why; see docs/guard.md."


class AutocommitRefused(DomicileError):
    code = "autocommit_refused"
    remedy = ("A context is valid within one transaction, so a statement outside of any cannot have one: use "
              "`with connection.transaction():`, or leave autocommit off.")


class ContextRefused(DomicileError):
    """The node refused a job's context. `reason` is the node's."""

    code = "context_refused"
    status = 403
    remedy = ("The service needs the permission context:issue for this very organization (domicile client create "
              "--org KEY --permission context:issue); a job that is older than the organization's last move is refused.")

    def __init__(self, message: str, reason: str = "", http_status: int = 0):
        super().__init__(message)
        self.reason = reason
        self.http_status = http_status


class NodeUnavailable(DomicileError):
    code = "node_unavailable"
    status = 503
    remedy = "The region's node did not answer: try the job again later."


# (SQLSTATE, constraint name or "", part of the message, exception). The first that fits counts.
TABLE = (
    ("42501", "", "has no organization context", ContextMissing),
    ("42501", "", "context belongs to another transaction", ContextMissing),
    ("42501", "", "organization context has expired", ContextExpired),
    ("42501", "", "context token has expired, or lives too long", ContextExpired),
    ("42501", "", "context was tampered with", ContextInvalid),
    ("42501", "", "context token is not one of this region", ContextInvalid),
    ("42501", "", "context token is forged, or its key is retired", ContextInvalid),
    ("42501", "", "context token is for another database", NotServedHere),
    ("42501", "", "organization is not served in this region", NotServedHere),
    ("42501", "", "already entered another organization", WrongOrganization),
    ("42501", "", "new row violates row-level security policy", WrongOrganization),
    ("23514", "domicile_home", "region is closed", RegionClosed),
    ("23514", "domicile_home", "", NotWritableHere),
    ("23514", "domicile_reference", "", ReferenceReadOnly),
    ("25006", "", "enter() cannot run in a read-only transaction", RefusedByGuard),
    ("42501", "", "domicile: ", RefusedByGuard),
    ("55000", "", "region is closed", RegionClosed),
)


def explain(sqlstate: Optional[str], message: str, constraint: Optional[str] = None) -> Optional[DomicileError]:
    """The exception for a database error, or None when it has nothing to do with Domicile."""
    for state, name, part, kind in TABLE:
        if sqlstate == state and part in message and (not name or name == constraint):
            return kind(message.splitlines()[0] if message else "", sqlstate)
    return None


def translate(error: BaseException) -> Optional[DomicileError]:
    """For drivers whose errors have `sqlstate` (psycopg 3, asyncpg) or `pgcode` (psycopg2)."""
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(sqlstate, str):
        return None
    diagnosis = getattr(error, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error)
    constraint = getattr(diagnosis, "constraint_name", None) or getattr(error, "constraint_name", None)
    return explain(sqlstate, message, constraint)
