"""Plays one case of the attack corpus against an arena and judges it.

The judgement has two parts: what each step had to bring, and what must hold whatever the step brought -
nothing of the other organization was seen by the attacker, its rows and the shared rows are as they were,
no row of an absent organization is stored.
"""

import re

from support import attack_ops
from support.arena import Arena, literal
from support.attack_case import Case, Step
from support.wire import Answer, Session, WireError

MARK = "bravo"  # stands in every text of the other organization's rows


class Bout:
    def __init__(self, arena: Arena, case: Case, database: str):
        self.arena, self.case, self.database = arena, case, database
        self.admin = arena.superuser(database)
        self.sessions: dict[tuple[str, str], Session] = {}
        self.words: dict[str, str] = {}   # what operations found out: {victim_pid} ...
        self.cleanup: list[str] = []      # statements of the superuser, run at the end in reverse
        self.last = Answer()

    # -- placeholders

    def fill(self, text: str) -> str:
        def word(match: re.Match) -> str:
            found = self._word(match.group(1))
            return match.group(0) if found is None else found
        return re.sub(r"\{(\w+)\}", word, text)

    def _word(self, name: str) -> str | None:
        arena = self.arena
        if name in self.words:
            return self.words[name]
        if name in ("own", "other", "absent"):
            return literal(getattr(arena, name))
        if name.endswith("_key") and name[:-4] in ("own", "other", "absent"):
            return getattr(arena, name[:-4])
        if name.endswith("_role") and name[:-5] in ("own", "other", "absent"):
            return arena.role(getattr(arena, name[:-5]))
        if name == "key":
            return arena.key_type
        if name == "database":
            return self.database
        if name == "slot":
            return arena.slots(self.admin)[0]
        if name == "hints":
            return ",".join(arena.hints(self.admin))
        if name.endswith("token"):
            return attack_ops.token(arena, name.removesuffix("token").rstrip("_"))
        return None

    # -- playing

    def session(self, actor: str, name: str) -> Session:
        place = (actor, name)
        if place not in self.sessions:
            self.sessions[place] = self.arena.actor(actor, self.database)
        return self.sessions[place]

    def play(self):
        before = self.arena.fingerprint(self.admin)
        try:
            if self.case.actor == "org":
                self.session("org", "")  # logged in before anything happens: a fenced role cannot
            for number, step in enumerate(self.case.steps, 1):
                self._step(number, step)
            self._aftermath(before)
        finally:
            self.close()

    def close(self):
        for session in self.sessions.values():
            session.close()
        for statement in reversed(self.cleanup):
            self.admin.simple(statement)
        self.admin.close()

    def _step(self, number: int, step: Step):
        actor = step.actor or self.case.actor
        where = f"{self.case.id} step {number}"
        if step.do:
            operation = getattr(attack_ops, "do_" + step.do)
            try:
                answer = operation(self, actor, step)
            except WireError as error:
                answer = Answer(sqlstate=error.sqlstate, message=str(error))
            if answer is None:
                return
        else:
            answer = self.send(self.session(actor, step.session), step)
        shown = self.fill(step.sql) or step.do or step.execute
        problem = judge(self.fill(step.expect), answer, self.arena.own)
        assert not problem, f"{where}: {problem}\n  sent: {shown}\n  came: {answer}"
        self.last = answer

    def send(self, session: Session, step: Step) -> Answer:
        sql = self.fill(step.sql)
        bind = [self.fill(str(p)) for p in step.bind or []]
        if step.prepare:
            return session.prepare(step.prepare, sql)
        if step.execute:
            return session.execute(step.execute, *bind)
        if step.bind is not None:
            return session.bind(sql, *bind)
        return session.simple(sql, self.fill(step.data).replace("\\t", "\t").replace("\\n", "\n"))

    # -- judging

    def violations(self) -> list[str]:
        return [" ".join(str(c) for c in row) for row in self.admin.must("SELECT * FROM domicile.violations()").rows]

    def _aftermath(self, before: dict[str, str]):
        case = self.case
        if not case.leaks:
            for (actor, _), session in self.sessions.items():
                if actor in ("org", "app", "app_bare", "stranger", "nobody", "node"):
                    session.notifications()
                    seen = [text for text in session.seen if MARK in text]
                    assert not seen, f"{case.id}: {actor} saw the other organization: {seen[:3]}"
        for session in self.sessions.values():  # an attack that holds locks must not hold up its judge
            session.close()
        self.sessions.clear()
        after = self.arena.fingerprint(self.admin)
        changed = {name for name in after if before[name] != after[name]}
        assert not changed, f"{case.id}: the other organization's or shared rows changed: {changed}"
        foreign = self.arena.foreign_rows(self.admin)
        assert not foreign, f"{case.id}: rows of an absent organization are stored: {foreign}"
        if case.reported:
            lines = self.violations()
            assert any(re.search(self.fill(case.reported), line) for line in lines), \
                f"{case.id}: violations() says nothing of {case.reported}: {lines}"
        if case.hidden:
            lines = [line for line in self.violations() if re.search(self.fill(case.hidden), line)]
            assert not lines, f"{case.id}: {lines}"


def judge(expect: str, answer: Answer, own: str) -> str:
    """Why the answer is not what was expected; "" when it is."""
    if expect.startswith("value "):
        wanted = expect.removeprefix("value ")
        got = answer.rows[0][0] if answer.rows else None
        return "" if not answer.failed and got == wanted else f"expected the value {wanted!r}"
    if expect.startswith("rows "):
        return "" if not answer.failed and len(answer.rows) == int(expect[5:]) else f"expected {expect}"
    if expect.startswith("tag "):
        tag, *states = re.match(r"tag (.*?)((?: [0-9A-Z]{4}[0-9A-Z])*)$", expect).groups()
        if answer.failed:
            return "" if answer.sqlstate in states[0].split() else f"expected {expect}"
        return "" if answer.tag == tag else f"expected {expect}"
    return "" if any(_matches(word, answer, own) for word in expect.split()) else f"expected {expect}"


def _matches(word: str, answer: Answer, own: str) -> bool:
    if word == "any":
        return True
    if answer.failed:
        # The guard's own answer, or that there is no such organization's role at all.
        return answer.sqlstate in ("23514", "42704") if word == "guarded" else answer.sqlstate == word
    if word == "ok":
        return True
    if word == "empty":
        return answer.has_rows and not answer.rows
    if word == "own":
        return bool(answer.rows) and all(row[0] == own for row in answer.rows)
    return False
