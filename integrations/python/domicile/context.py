"""The organization in whose name the present request or job works, as a context variable: it follows
`await`, tasks and copied contexts, and never leaks into another request's thread or task.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from typing import Callable, Iterator, Mapping, Optional

from .errors import ContextMissing


@dataclasses.dataclass(frozen=True)
class Context:
    organization: str
    epoch: int
    token: str = dataclasses.field(repr=False)  # worth a minute of this organization's data: never logged
    subject: str = ""
    permissions: frozenset = frozenset()
    acting_organization: str = ""
    request_id: str = ""
    refresh: Optional[Callable[[], "Context"]] = dataclasses.field(default=None, repr=False, compare=False)

    @staticmethod
    def from_headers(get: Callable[[str], Optional[str]]) -> Optional["Context"]:
        """From the fields that the door sets; `get` looks a field up by its name. None without a context."""
        token, organization = get("Domicile-Context"), get("Domicile-Organization")
        if not token or not organization:
            return None
        epoch = get("Domicile-Epoch") or "0"
        return Context(organization=organization, epoch=int(epoch) if epoch.isdecimal() else 0, token=token,
                       subject=get("Domicile-Subject") or "",
                       permissions=frozenset((get("Domicile-Permissions") or "").split()),
                       acting_organization=get("Domicile-Acting-Organization") or "",
                       request_id=get("Domicile-Request-Id") or "")

    def fresh(self) -> "Context":
        """This context, or, in a job, one that is far enough from its end."""
        return self.refresh() if self.refresh else self


class _Unscoped:
    """Deliberately no organization: reference data, health checks."""


_UNSCOPED = _Unscoped()
_current: contextvars.ContextVar = contextvars.ContextVar("domicile_context", default=None)


def current() -> Optional[Context]:
    found = _current.get()
    return found if isinstance(found, Context) else None


def required() -> Context:
    found = current()
    if found is None:
        raise ContextMissing("no organization context here")
    return found


def is_unscoped() -> bool:
    return _current.get() is _UNSCOPED


@contextlib.contextmanager
def use(context: Optional[Context]) -> Iterator[Optional[Context]]:
    """Works in the name of `context` until the block ends."""
    mark = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(mark)


@contextlib.contextmanager
def unscoped() -> Iterator[None]:
    """No organization on purpose: transactions in this block do not enter, and see no organization's rows."""
    mark = _current.set(_UNSCOPED)
    try:
        yield
    finally:
        _current.reset(mark)


def mapping_getter(headers: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    lower = {name.lower(): value for name, value in headers.items()}
    return lambda name: lower.get(name.lower())
