"""How the learning platform answers when something is wrong: problem+json with a stable reason, and the
check of what a request's body holds."""

import psycopg
from flask import Blueprint, jsonify, request
from psycopg_pool import PoolTimeout

answers = Blueprint("answers", __name__)


class Problem(Exception):
    def __init__(self, status: int, reason: str, detail: str):
        self.status, self.reason, self.detail = status, reason, detail


def problem(status: int, reason: str, detail: str):
    answer = jsonify(status=status, reason=reason, detail=detail,
                     request_id=request.headers.get("Domicile-Request-Id"))
    answer.mimetype = "application/problem+json"
    return answer, status


@answers.app_errorhandler(Problem)
def _(error):
    return problem(error.status, error.reason, error.detail)


@answers.app_errorhandler(404)
def _(_error):
    return problem(404, "no_such_resource", "the learning platform has nothing at this address")


@answers.app_errorhandler(405)
def _(_error):
    return problem(405, "method_not_allowed", "this address does not answer to that method")


@answers.app_errorhandler(400)
def _(_error):
    return problem(400, "bad_request", "the body must be a JSON object")


@answers.app_errorhandler(psycopg.errors.InsufficientPrivilege)
def _(error):
    return problem(403, "refused_by_database", error.diag.message_primary)


@answers.app_errorhandler(psycopg.errors.CheckViolation)
def _(error):
    if (error.diag.constraint_name or "").startswith("domicile"):
        return problem(409, "not_writable_here", error.diag.message_primary)
    return problem(422, "value_refused", f"a value breaks the rule {error.diag.constraint_name}")


@answers.app_errorhandler(psycopg.errors.UniqueViolation)
def _(error):
    return problem(409, "already_there", f"there is one already ({error.diag.constraint_name})")


@answers.app_errorhandler(psycopg.errors.ForeignKeyViolation)
def _(error):
    if request.method == "DELETE":
        return problem(409, "in_use", f"something still refers to it ({error.diag.table_name})")
    return problem(422, "refers_to_nothing", f"it refers to something that is not there ({error.diag.constraint_name})")


@answers.app_errorhandler(psycopg.errors.DataError)
def _(error):
    return problem(422, "value_refused", error.diag.message_primary or "a value is out of range")


@answers.app_errorhandler(PoolTimeout)
@answers.app_errorhandler(psycopg.OperationalError)
def _(_error):
    answer, status = problem(503, "database_unavailable", "the database does not answer; try again")
    answer.headers["Retry-After"] = "2"
    return answer, status


def body(**wanted) -> dict:
    """The JSON body with the wanted keys, each checked for its type; a tuple (type, default) is optional."""
    given = request.get_json()
    if not isinstance(given, dict):
        raise Problem(400, "bad_request", "the body must be a JSON object")
    unknown = set(given) - set(wanted)
    if unknown:
        raise Problem(422, "unknown_field", f"unknown: {', '.join(sorted(unknown))}")
    values = {}
    for name, kind in wanted.items():
        kind, *default = kind if isinstance(kind, tuple) else (kind,)
        if name not in given and default:
            values[name] = default[0]
        elif not isinstance(given.get(name), kind) or (kind is int and isinstance(given[name], bool)):
            raise Problem(422, "bad_field", f"'{name}' must be a {kind.__name__}")
        elif kind is str and "\0" in given[name]:
            raise Problem(422, "bad_field", f"'{name}' must be plain text")
        else:
            values[name] = given[name]
    return values


def one(cursor, what: str) -> dict:
    row = cursor.fetchone()
    if row is None:
        raise Problem(404, "not_found", f"no such {what} in this organization")
    return row
