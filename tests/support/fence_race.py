"""Ten kinds of writers against the fence.

Each writer is a thread with its own session that begins a transaction, looks, writes a row of the raced
organization, lingers, and commits, over and over, in a rotating isolation level. A round homes the
organization, lets them write, fences, and takes the organization's state at the moment the fence says
that it holds. Then every writer gets through at least two more attempts. Whatever changed after that
moment is a leak.
"""

import dataclasses
import random
import threading
import time
from collections.abc import Callable

from support.arena import Arena, literal
from support.wire import Session, WireError

ISOLATION = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ UNCOMMITTED")
KINDS = ("organization_role", "application_door", "superuser", "copy_loader", "prepared_statement", "savepoints",
         "definer_function", "session_authorization", "replica_role", "fresh_login", "updater", "child_by_path")


class Writer(threading.Thread):
    def __init__(self, race: "Race", kind: str, number: int):
        super().__init__(daemon=True, name=kind)
        self.race, self.kind, self.number = race, kind, number
        self.random = random.Random(number)
        self.attempts = self.written = self.refused = 0
        self.states: dict[str, int] = {}
        self.failure = ""

    def run(self):
        session = None
        try:
            while not self.race.stop.is_set():
                if session is None:
                    session = self._login()
                    if session is None:  # a fenced organization's role cannot log in: that is a refusal
                        self.refused += 1
                        self.attempts += 1
                        time.sleep(0.002)
                        continue
                self._attempt(session)
                self.attempts += 1
                if self.kind == "fresh_login" or not session.alive:
                    session.close()
                    session = None
        except Exception as error:  # noqa: BLE001 - a dead writer must fail the test, whatever killed it
            self.failure = f"{self.kind}: {error!r}"
        finally:
            if session is not None:
                session.close()

    def _login(self) -> Session | None:
        arena, kind = self.race.arena, self.kind
        try:
            if kind in ("organization_role", "prepared_statement", "savepoints", "fresh_login"):
                return arena.login(arena.role(arena.own), self.race.database)
            if kind == "application_door":
                return arena.login("app_pool", self.race.database)
            session = arena.superuser(self.race.database)
            if kind == "replica_role":
                session.must("SET session_replication_role = replica")
            return session
        except WireError:
            return None

    def _attempt(self, session: Session):
        isolation = ISOLATION[(self.attempts + self.number) % len(ISOLATION)]
        begin = session.simple(f"BEGIN ISOLATION LEVEL {isolation}")
        if begin.failed:
            return
        failed = self._write(session)
        if not failed:
            linger = self.random.choice((0, 0, 0.002, 0.005, 0.02))
            if linger:
                session.simple(f"SELECT pg_sleep({linger})")
            failed = session.simple("COMMIT").sqlstate
            if not failed:
                self.written += 1
                return
        self.refused += 1
        self.states[failed] = self.states.get(failed, 0) + 1
        session.simple("ROLLBACK")

    def _write(self, session: Session) -> str:
        """One row of the raced organization; the SQLSTATE when it was refused."""
        arena, kind = self.race.arena, self.kind
        own, number = literal(arena.own), self.race.next_number()
        insert = f"INSERT INTO app.course (org_id, id, title) VALUES ({own}, {number}, '{kind}')"
        if kind == "application_door":
            entered = session.bind("SELECT domicile.enter($1)", arena.token(arena.own, epoch=self.race.epoch))
            return entered.sqlstate or session.simple(insert).sqlstate
        # A snapshot of its own before the write, so that the stricter levels carry one across the fence.
        looked = session.simple("SELECT count(*) FROM app.country" if self.random.random() < 0.5 else "SELECT 1")
        if looked.failed:
            return looked.sqlstate
        if self.random.random() < 0.3:
            session.simple(f"SELECT pg_sleep({self.random.choice((0.001, 0.004))})")
        match kind:
            case "copy_loader":
                return session.simple("COPY app.course (org_id, id, title) FROM STDIN",
                                      f"{arena.own}\t{number}\tloaded\n").sqlstate
            case "prepared_statement":
                first = session.execute("w", arena.own, number)
                if first.sqlstate == "26000":  # not prepared in this session yet: the transaction is lost
                    session.simple("ROLLBACK")
                    session.prepare("w", "INSERT INTO app.course (org_id, id, title) VALUES ($1, $2, 'prepared')")
                return first.sqlstate
            case "savepoints":
                session.simple("SAVEPOINT a")
                inner = session.simple(insert)
                session.simple("ROLLBACK TO a" if inner.failed or number % 2 else "RELEASE a")
                return session.simple(insert.replace(str(number), str(number + 1_000_000_000))).sqlstate
            case "definer_function":
                session.simple(f"SET LOCAL SESSION AUTHORIZATION \"{arena.role(arena.own)}\"")
                return session.simple(f"SELECT app.add_course({own}, {number}, 'definer')").sqlstate
            case "session_authorization":
                session.simple(f"SET LOCAL SESSION AUTHORIZATION \"{arena.role(arena.own)}\"")
                return session.simple(insert).sqlstate
            case "updater":
                return session.simple(f"UPDATE app.course SET code = code + 1 WHERE org_id = {own} AND id = 1").sqlstate
            case "child_by_path":
                return session.simple(f"INSERT INTO app.answer VALUES ({2_000_000 + number}, 1, 'alpha raced')").sqlstate
        return session.simple(insert).sqlstate


@dataclasses.dataclass
class Result:
    fences: int = 0
    leaks: int = 0
    refused_fences: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)
    waits_ms: list[float] = dataclasses.field(default_factory=list)
    written: dict[str, int] = dataclasses.field(default_factory=dict)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    states: dict[str, int] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        waits = sorted(self.waits_ms) or [0.0]
        return (f"{self.fences} fences, {self.leaks} leaks, wait median {waits[len(waits) // 2]:.1f} ms "
                f"p99 {waits[int(len(waits) * 0.99)]:.1f} ms max {waits[-1]:.1f} ms; written {sum(self.written.values())}, "
                f"refused {sum(self.refused.values())} {self.states} {self.examples[:3]}")


class Race:
    """`fence(race, admin)` does the whole fence and returns whether it holds."""

    def __init__(self, arena: Arena, database: str, fence: Callable[["Race", Session], bool], kinds=KINDS):
        self.arena, self.database, self.fence = arena, database, fence
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.number = 100_000
        self.admin = arena.superuser(database)
        self.epoch = int(self.admin.value("SELECT epoch FROM domicile.organization WHERE key = $1", arena.own))
        self.writers = [Writer(self, kind, i) for i, kind in enumerate(kinds)]

    def next_number(self) -> int:
        with self.lock:
            self.number += 1
            return self.number

    def state(self) -> str:
        own = literal(self.arena.own)
        return str(self.admin.must(
            f"SELECT count(*), sum(id), sum(code) FROM app.course WHERE org_id = {own} "
            "UNION ALL SELECT count(*), sum(id), 0 FROM app.answer WHERE id >= 2000000").rows)

    def run(self, fences: int, seconds: float = 600.0) -> Result:
        result = Result()
        deadline = time.monotonic() + seconds
        for writer in self.writers:
            writer.start()
        try:
            while result.fences < fences and time.monotonic() < deadline:
                self._round(result)
        finally:
            self.stop.set()
            for writer in self.writers:
                writer.join(30)
            self._home()
            self.admin.close()
        failures = [w.failure for w in self.writers if w.failure]
        assert not failures, failures
        for writer in self.writers:
            result.written[writer.kind] = writer.written
            result.refused[writer.kind] = writer.refused
            for state, count in writer.states.items():
                result.states[state] = result.states.get(state, 0) + count
        return result

    def _home(self):
        self.epoch += 1
        self.admin.must("SELECT domicile.home_organization($1, $2)", self.arena.own, self.epoch)

    def _round(self, result: Result):
        if result.fences % 25 == 0:  # keep the table small, so that the state is read quickly
            self.admin.must(f"DELETE FROM app.course WHERE org_id = {literal(self.arena.own)} AND id > 100000")
            self.admin.must("DELETE FROM app.answer WHERE id >= 2000000")
        time.sleep(random.random() * 0.015)  # not for luck: it moves the fence against the writers' rhythm
        self.epoch += 1
        began = time.monotonic()
        held = self.fence(self, self.admin)
        result.waits_ms.append((time.monotonic() - began) * 1000)
        if not held:
            result.refused_fences += 1
            return
        before = self.state()
        self._let_everybody_try()
        after = self.state()
        result.fences += 1
        if before != after:
            result.leaks += 1
            result.examples.append(f"{before} became {after}")
        self._home()

    def _let_everybody_try(self):
        target = {writer: writer.attempts + 2 for writer in self.writers}
        deadline = time.monotonic() + 20
        while any(w.attempts < t and not w.failure for w, t in target.items()):
            assert time.monotonic() < deadline, "writers are stuck: " + str(
                [w.kind for w, t in target.items() if w.attempts < t])
            time.sleep(0.001)


def fence_by_sql(race: Race, admin: Session, seconds: float = 10.0) -> bool:
    """The functions and the wait of a fence, as store/region_store.h does them."""
    admin.must("SELECT domicile.fence_organization($1, $2)", race.arena.own, race.epoch)
    waiting = {row[0] for row in admin.must("SELECT name FROM domicile.open_transactions()").rows}
    deadline = time.monotonic() + seconds
    while waiting:
        if time.monotonic() > deadline:
            admin.must("SELECT domicile.undo_fence($1, $2)", race.arena.own, race.epoch)
            return False
        time.sleep(0.001)
        waiting &= {row[0] for row in admin.must("SELECT name FROM domicile.open_transactions()").rows}
    return True


def fence_without_the_wait(race: Race, admin: Session) -> bool:
    """The first half only: what a fence would be without its grace period."""
    admin.must("SELECT domicile.fence_organization($1, $2)", race.arena.own, race.epoch)
    return True
