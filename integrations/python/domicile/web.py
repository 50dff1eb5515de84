"""What the middlewares share: the answer that a DomicileError becomes."""

from __future__ import annotations

import json
from typing import Dict, List, Tuple

from .errors import DomicileError

PHRASES = {403: "Forbidden", 409: "Conflict", 500: "Internal Server Error", 503: "Service Unavailable"}


def problem(error: DomicileError, request_id: str) -> Tuple[int, List[Tuple[str, str]], bytes]:
    """RFC 9457, without the database's own words: those belong into the log."""
    body: Dict[str, object] = {"type": "about:blank", "title": PHRASES.get(error.status, "Error"),
                               "status": error.status, "reason": error.code}
    if request_id:
        body["request_id"] = request_id
    headers = [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
    if error.status == 503:
        headers.append(("Retry-After", "5"))
    return error.status, headers, json.dumps(body).encode()
