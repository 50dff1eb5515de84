"""Work that outlives its request: queues, schedulers, workers.

A context lives a minute, so a job cannot carry one. It carries who it is for: organization, epoch,
request id (`Ticket`), which is worth nothing by itself. The worker asks its region's node for a context
whenever a transaction needs one, as a service of that very organization (`ContextSource`):

    queue.put({"domicile": jobs.Ticket.of(domicile.required()).to_dict(), ...})         # in the request

    source = jobs.ContextSource("https://ca.example.com", credentials=secrets_of)        # in the worker
    with source.work_for(jobs.Ticket.from_dict(job["domicile"])):
        ...                                                                             # transactions enter

`credentials(organization)` gives client id and secret of the organization's own service, created with
`domicile client create --org KEY --permission context:issue`. So a worker reaches exactly the
organizations whose secrets it holds; a stolen or altered job names another organization in vain, because
the node compares it with the service's own. A job from before the organization's last move is refused
with reason `stale_job`: what it refers to may lie elsewhere now.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Callable, Dict, Iterator, Optional, Tuple

from .context import Context, use
from .errors import ContextRefused, NodeUnavailable

Credentials = Callable[[str], Tuple[str, str]]
_SPARE_S = 20  # a context with less than this left is replaced before a transaction begins


@dataclasses.dataclass(frozen=True)
class Ticket:
    organization: str
    epoch: int
    request_id: str = ""

    @staticmethod
    def of(context: Context) -> "Ticket":
        return Ticket(context.organization, context.epoch, context.request_id)

    def to_dict(self) -> Dict[str, object]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(value: Dict[str, object]) -> "Ticket":
        organization, epoch = value.get("organization"), value.get("epoch")
        if not isinstance(organization, str) or not organization or not isinstance(epoch, int):
            raise ValueError("not a ticket: organization (text) and epoch (number) are needed")
        return Ticket(organization, epoch, str(value.get("request_id") or ""))


class ContextSource:
    """Thread-safe. Keeps access tokens until shortly before they expire, and a context while it is fresh."""

    def __init__(self, node_url: str, credentials: Credentials, ca_file: Optional[str] = None,
                 timeout_s: float = 10, clock: Callable[[], float] = time.time):
        parsed = urllib.parse.urlsplit(node_url)
        if parsed.scheme != "https" and parsed.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("a node is reached over https")
        self._url = node_url.rstrip("/")
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._clock = clock
        handlers: list = [_NoRedirect]
        if parsed.scheme == "https":
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
        self._opener = urllib.request.build_opener(*handlers)
        self._lock = threading.Lock()
        self._tokens: Dict[str, Tuple[str, float]] = {}
        self._contexts: Dict[Ticket, Tuple[Context, float]] = {}

    @contextlib.contextmanager
    def work_for(self, ticket: Ticket) -> Iterator[Context]:
        """Transactions in this block enter the ticket's organization, each with a context that is fresh."""
        with use(self.context(ticket)) as context:
            yield context  # type: ignore[misc]

    def context(self, ticket: Ticket) -> Context:
        with self._lock:
            known = self._contexts.get(ticket)
        if known is not None and known[1] - self._clock() > _SPARE_S:
            return known[0]
        answer = self._ask(ticket)
        context = Context(organization=answer["organization"], epoch=answer["epoch"], token=answer["context"],
                          request_id=ticket.request_id, refresh=lambda: self.context(ticket))
        with self._lock:
            self._contexts = {t: c for t, c in self._contexts.items() if c[1] > self._clock()}
            self._contexts[ticket] = (context, answer["expires_at"])
        return context

    def _ask(self, ticket: Ticket) -> dict:
        for again in (False, True):
            fields = {"Authorization": "Bearer " + self._token(ticket.organization, again),
                      "Domicile-Organization": ticket.organization, "Domicile-Epoch": str(ticket.epoch)}
            status, answer = self._post("/v1/context", fields, b"")
            if status == 401 and not again:
                continue  # expired, or issued before a move
            return self._checked(status, answer, "a context")
        raise AssertionError("unreachable")

    def _token(self, organization: str, anew: bool) -> str:
        with self._lock:
            known = self._tokens.get(organization)
        if known is not None and not anew and known[1] - self._clock() > 30:
            return known[0]
        client, secret = self._credentials(organization)
        basic = base64.b64encode(f"{urllib.parse.quote_plus(client)}:{urllib.parse.quote_plus(secret)}".encode())
        status, answer = self._post("/oauth2/token", {"Authorization": "Basic " + basic.decode(),
                                                      "Content-Type": "application/x-www-form-urlencoded"},
                                    b"grant_type=client_credentials&scope=context%3Aissue")
        answer = self._checked(status, answer, "an access token")
        with self._lock:
            self._tokens[organization] = (answer["access_token"], self._clock() + answer.get("expires_in", 60))
        return answer["access_token"]

    def _checked(self, status: int, answer: dict, what: str) -> dict:
        if status == 200:
            return answer
        reason = str(answer.get("reason") or answer.get("error") or "")
        if status >= 500 or status == 429:
            raise NodeUnavailable(f"the node did not give {what}: {status} {reason}")
        raise ContextRefused(f"the node refused {what}: {status} {reason}", reason, status)

    def _post(self, path: str, fields: Dict[str, str], body: bytes) -> Tuple[int, dict]:
        request = urllib.request.Request(self._url + path, data=body, headers=fields, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return answer.status, _json(answer.read(65536))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read(65536))
        except OSError as error:
            raise NodeUnavailable(f"the node cannot be reached: {error}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:  # a secret is for this node alone
        return None


def _json(raw: bytes) -> dict:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
