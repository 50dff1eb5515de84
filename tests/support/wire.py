"""A PostgreSQL session that says exactly what it is told, and reports everything that came back.

Drivers tidy up: they open transactions, prepare statements, split messages. An attack must choose its own
messages, so this speaks through libpq directly. `simple` sends one Query message, whatever it holds;
`bind` uses the extended protocol. Every value, notice, error field and notification that the client
could see is kept in `seen`, for the checker that looks for what nobody should have seen.
"""

import dataclasses
import select

from psycopg import pq

ExecStatus = pq.ExecStatus


@dataclasses.dataclass
class Answer:
    """What one message brought: the rows of its last result, or the error that ended it."""

    rows: list[tuple] = dataclasses.field(default_factory=list)
    tags: list[str] = dataclasses.field(default_factory=list)
    sqlstate: str = ""
    message: str = ""
    all_rows: list[tuple] = dataclasses.field(default_factory=list)
    has_rows: bool = False

    @property
    def tag(self) -> str:
        return self.tags[-1] if self.tags else ""

    @property
    def failed(self) -> bool:
        return bool(self.sqlstate)

    def __str__(self) -> str:
        if self.failed:
            return f"error {self.sqlstate}: {self.message.strip()}"
        return f"{self.tag} {self.rows[:5]}{'...' if len(self.rows) > 5 else ''}"


class WireError(Exception):
    def __init__(self, sqlstate: str, message: str):
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate




class Session:
    def __init__(self, conninfo: str):
        self.pg = pq.PGconn.connect(conninfo.encode())
        if self.pg.status != pq.ConnStatus.OK:
            message = self.pg.error_message.decode("utf-8", "replace")
            self.pg.finish()
            raise WireError("08000", message)
        self.seen: list[str] = []
        self.pg.notice_handler = self._notice

    def close(self):
        self.pg.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def pid(self) -> int:
        return self.pg.backend_pid

    @property
    def in_transaction(self) -> bool:
        return self.pg.transaction_status not in (pq.TransactionStatus.IDLE, pq.TransactionStatus.UNKNOWN)

    @property
    def alive(self) -> bool:
        return self.pg.status == pq.ConnStatus.OK

    def _notice(self, result):
        self.seen.append(_text(result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)))
        self.seen.append(_text(result.error_field(pq.DiagnosticField.MESSAGE_DETAIL)))

    def simple(self, sql: str, data: str = "") -> Answer:
        """One Query message; `data` feeds a COPY FROM STDIN."""
        self.pg.send_query(sql.encode())
        return self._collect(data)

    def bind(self, sql: str, *parameters) -> Answer:
        self.pg.send_query_params(sql.encode(), [_parameter(p) for p in parameters])
        return self._collect("")

    def prepare(self, name: str, sql: str) -> Answer:
        self.pg.send_prepare(name.encode(), sql.encode())
        return self._collect("")

    def execute(self, name: str, *parameters) -> Answer:
        self.pg.send_query_prepared(name.encode(), [_parameter(p) for p in parameters])
        return self._collect("")

    def must(self, sql: str, *parameters) -> Answer:
        """For set-up: the statement has to succeed."""
        answer = self.bind(sql, *parameters) if parameters else self.simple(sql)
        if answer.failed:
            raise WireError(answer.sqlstate, f"{answer.message} in: {sql}")
        return answer

    def value(self, sql: str, *parameters):
        rows = self.must(sql, *parameters).rows
        return rows[0][0] if rows else None

    def start(self, sql: str):
        """Sends a Query message without waiting: finish() gets its answer."""
        self.pg.send_query(sql.encode())

    def finish(self) -> Answer:
        return self._collect("")

    def busy(self) -> bool:
        self.pg.consume_input()
        return bool(self.pg.is_busy())

    def wait_ready(self, seconds: float) -> bool:
        """Whether the answer to start() is there within that time."""
        while self.busy():
            if not select.select([self.pg.socket], [], [], seconds)[0]:
                return False
        return True

    def notifications(self) -> list[tuple[str, str]]:
        self.pg.consume_input()
        found = []
        while (n := self.pg.notifies()) is not None:
            found.append((n.relname.decode(), n.extra.decode()))
            self.seen.append(n.extra.decode())
        return found

    def _collect(self, data: str) -> Answer:
        answer = Answer()
        while (result := self.pg.get_result()) is not None:
            status = result.status
            if status == ExecStatus.TUPLES_OK or status == ExecStatus.SINGLE_TUPLE:
                answer.rows = [tuple(_text(result.get_value(r, c), null=True) for c in range(result.nfields))
                               for r in range(result.ntuples)]
                answer.has_rows = True
                answer.all_rows += answer.rows
                answer.tags.append(_text(result.command_status))
            elif status == ExecStatus.COPY_OUT:
                answer.rows = self._copy_out()
                answer.has_rows = True
                answer.all_rows += answer.rows
            elif status == ExecStatus.COPY_IN:
                if data:
                    self.pg.put_copy_data(data.encode())
                self.pg.put_copy_end(None)
            elif status in (ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY):
                answer.tags.append(_text(result.command_status))
            else:
                answer.sqlstate = _text(result.error_field(pq.DiagnosticField.SQLSTATE)) or "08006"
                answer.message = "\n".join(
                    _text(result.error_field(field)) for field in
                    (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_DETAIL,
                     pq.DiagnosticField.MESSAGE_HINT, pq.DiagnosticField.CONTEXT)) or _text(result.error_message)
                self.seen.append(answer.message)
                if self.pg.status != pq.ConnStatus.OK:
                    break
        self.seen.append(repr(answer.all_rows))
        return answer

    def _copy_out(self) -> list[tuple]:
        lines = []
        while True:
            size, chunk = self.pg.get_copy_data(0)
            if size <= 0:
                return lines
            lines.append(tuple(bytes(chunk).decode("utf-8", "replace").rstrip("\n").split("\t")))


def _parameter(value) -> bytes | None:
    return None if value is None else str(value).encode()


def _text(value, null: bool = False):
    if value is None:
        return None if null else ""
    return bytes(value).decode("utf-8", "replace")
