"""Operations of the attack corpus that are more than one message: `do = "name"` calls do_name here.

Each gets the bout, the step's actor and the step. It returns the Answer that the step's `expect`
describes, or None when there is nothing to judge; a WireError counts as an error answer.
"""

import secrets
import time

from support.arena import PASSWORD, Arena, literal
from support.attack_case import Step
from support.wire import Answer, WireError


def token(arena: Arena, kind: str) -> str:
    """{token}, {other_token}, {forged_token} ... of the corpus."""
    own = arena.own
    match kind:
        case "":
            return arena.token(own)
        case "other" | "absent":
            return arena.token(getattr(arena, kind))
        case "forged":
            return arena.token(own, secret=secrets.token_bytes(32))
        case "swapped":
            parts = arena.token(own).split("~")
            parts[2] = arena.other
            return "~".join(parts)
        case "expired":
            return arena.token(own, seconds=-1)
        case "brief":
            return arena.token(own, seconds=2)
        case "long":
            return arena.token(own, seconds=3600)
        case "elsewhere":
            return arena.token(own, database_id=secrets.token_hex(16))
        case "unknown_key":
            return arena.token(own, kid="nokey")
        case "old_epoch":
            return arena.token(own, epoch=0)
    raise ValueError(kind)


def _each_token(bout, actor: str, tokens: list[str], expect: str) -> Answer:
    """All of them have to be refused alike; the first that is not is the answer."""
    session = bout.session(actor, "")
    answer = Answer(sqlstate="XX000", message="no token tried")
    for text in tokens:
        answer = session.bind("SELECT domicile.enter($1)", text)
        if answer.sqlstate not in expect.split():
            answer.message += f" (for the token {text!r})"
            return answer
    return answer


def do_mutated_tokens(bout, actor: str, step: Step) -> Answer:
    good = bout.arena.token(bout.arena.own)
    tokens = []
    for field in range(8):
        for change in (lambda s: s[:-1] + ("0" if s[-1] != "0" else "1"), lambda s: s + "0", lambda s: s[:-1],
                       lambda s: "", lambda s: s + " ", lambda s: s.upper() if s.upper() != s else s + "x"):
            parts = good.split("~")
            parts[field] = change(parts[field])
            tokens.append("~".join(parts))
    parts = good.split("~")
    tokens += [good + "~", "~" + good, good + good, "~".join(parts[:-1]), good.replace("dc1", "dc2"),
               good[:-64] + "0" * 64, good + "\n", " " + good]
    # Shifting a separator keeps the bytes under another reading of the fields.
    tokens += ["~".join([*parts[:2], parts[2] + "~" + parts[3], *parts[4:]])]
    return _each_token(bout, actor, [t for t in tokens if t != good], step.expect)


def do_malformed_tokens(bout, actor: str, step: Step) -> Answer:
    tokens = ["", "~", "~" * 7, "dc1", "dc1~~~~~~~", "x" * 100_000, "~" * 100_000, "dc1~' OR 1=1 --~1~1~1~1~1~1",
              "dc1~k~7~1~d~99999999999999999999999~n~m", "dc1~k~7~-1~d~1~n~m", "dc1~k~7~1~d~NaN~n~m", "\u00e9" * 50,
              "dc1~k~99999999999999999999~1~d~1~n~" + "0" * 64, "{}", "null", "%s%n", "dc1~k~7~1~d~1e3~n~" + "a" * 64]
    return _each_token(bout, actor, tokens, step.expect)


def do_login_with_option(bout, actor: str, step: Step) -> Answer:
    role = {"org": bout.arena.role(bout.arena.own)}[actor]
    with bout.arena.login(role, bout.database, bout.fill(step.sql)) as session:
        return session.simple("SELECT session_user, current_user")


def do_export_snapshot(bout, actor: str, step: Step) -> None:
    bout.words["snapshot"] = bout.session(actor, step.session).value("SELECT pg_export_snapshot()")


def do_execute_sees_other_only(bout, actor: str, step: Step) -> None:
    rows = bout.session(actor, step.session).execute(step.sql).rows
    assert rows and all(row[0] == bout.arena.other for row in rows), rows[:3]


def do_steal_temp_table(bout, actor: str, step: Step) -> Answer:
    schema = bout.admin.value("SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                              "WHERE c.relname = 'hoard' AND c.relpersistence = 't'")
    if schema is None:  # the victim may not have temp tables at all
        return Answer(sqlstate="42501")
    return bout.session(actor, "thief").simple(f"SELECT * FROM {schema}.hoard")


def do_victim_pid(bout, actor: str, step: Step) -> None:
    bout.words["victim_pid"] = str(bout.session("other_org", "victim").pid)


def do_neighbour_pid(bout, actor: str, step: Step) -> None:
    bout.words["victim_pid"] = str(bout.session("app_bare", "neighbour").pid)


def do_victim_large_object(bout, actor: str, step: Step) -> None:
    number = bout.session("other_org", "victim").value("SELECT lo_from_bytea(0, 'bravo hoard')")
    bout.words["victim_large_object"] = number
    bout.cleanup.append(f"SELECT lo_unlink({number})")


def do_notified(bout, actor: str, step: Step) -> None:
    # The other backend delivers when it is scheduled: ask again, in round trips, until a deadline.
    session, heard, deadline = bout.session(actor, step.session), [], time.monotonic() + 10
    while not any(payload == step.sql for _, payload in heard) and time.monotonic() < deadline:
        session.simple("SELECT 1")
        heard += session.notifications()
    assert any(payload == step.sql for _, payload in heard), heard


# -- states of the region

def do_disarm_ddl_assertion(bout, actor: str, step: Step) -> None:
    """What a superuser can do and a scan has to report: event triggers switched off."""
    for (name,) in bout.admin.must("SELECT quote_ident(evtname) FROM pg_event_trigger").rows:
        bout.admin.must(f"ALTER EVENT TRIGGER {name} DISABLE")


def do_lose_the_policies(bout, actor: str, step: Step) -> None:
    do_disarm_ddl_assertion(bout, actor, step)
    for (table,) in bout.admin.must("SELECT oid::regclass FROM pg_class WHERE relrowsecurity "
                                    "AND relnamespace = 'app'::regnamespace").rows:
        bout.admin.must(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def do_fence_own(bout, actor: str, step: Step) -> None:
    bout.arena.fence(bout.admin, bout.arena.own, 2)
    # The copy's organization may have gone; the server's role is shared with the other cases.
    bout.cleanup.append(f"SELECT domicile.home_organization({literal(bout.arena.own)}, 3)")


def _drop_role(bout, role: str):
    """At the end, if it is there by then."""
    bout.cleanup += [f'DROP ROLE IF EXISTS "{role}"',
                     f"DO $$ BEGIN IF to_regrole('\"{role}\"') IS NOT NULL THEN DROP OWNED BY \"{role}\"; END IF; END $$"]


def do_make_absent_role(bout, actor: str, step: Step) -> None:
    role = bout.arena.role(bout.arena.absent)
    bout.admin.must(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{PASSWORD}'")
    _drop_role(bout, role)
    bout.admin.must(f'GRANT domicile_tenant TO "{role}"')


def do_grant_tenant_to_absent_role(bout, actor: str, step: Step) -> None:
    role = bout.arena.role(bout.arena.absent)
    _drop_role(bout, role)
    bout.admin.must(f'GRANT domicile_tenant TO "{role}"')


def do_absent_writes(bout, actor: str, step: Step) -> Answer:
    with bout.arena.login(bout.arena.role(bout.arena.absent), bout.database) as session:
        return bout.send(session, step)


SPARE = {"bigint": "77", "uuid": "0f2c9a7e-52a4-4f0e-9d55-6a1f0c1d2e77", "text": "spare:77"}


def do_make_spare_homed_role(bout, actor: str, step: Step) -> None:
    key = SPARE[bout.arena.key_type]
    bout.admin.must("SELECT domicile.home_organization($1, 1)", key)
    role = bout.arena.role(key)
    _drop_role(bout, role)
    _drop_role(bout, bout.arena.role(bout.arena.absent))
    bout.admin.must(f"ALTER ROLE \"{role}\" LOGIN PASSWORD '{PASSWORD}'")
    bout.words["spare_role"] = role


def do_login_spare(bout, actor: str, step: Step) -> None:
    session = bout.arena.login(bout.words["spare_role"], bout.database)
    bout.sessions[(bout.case.actor, step.session)] = session
    session.must("SELECT count(*) FROM app.course")


def do_scan_sees(bout, actor: str, step: Step) -> None:
    if step.sql.startswith("{absent_role}"):
        _drop_role(bout, bout.arena.role(bout.arena.absent))
        _drop_role(bout, "domicile_home_" + bout.arena.role(bout.arena.absent))
    wanted = [bout.fill(word) for word in step.sql.split("|")]
    lines = bout.violations()
    assert any(word in line for word in wanted for line in lines), f"violations() says nothing of {wanted}: {lines}"


def do_make_role(bout, actor: str, step: Step) -> None:
    name = step.sql.split()[2]
    bout.admin.must(step.sql)
    _drop_role(bout, name)


# -- definitions

def do_closed_to_tenants(bout, actor: str, step: Step) -> None:
    """Row security on and no privileges: a tenant that tries is refused."""
    if bout.admin.value(f"SELECT to_regclass('{step.sql}') IS NOT NULL") != "t":
        return
    for who in ("org", "app"):
        answer = bout.session(who, "closed").simple(f"SELECT * FROM {step.sql}")
        assert answer.sqlstate == "42501", f"{who} reads the unclassified {step.sql}: {answer}"


def _each(bout, actor: str, step: Step, word: str, names: list[str]) -> Answer:
    assert names, f"there is no {word} on app.course"
    answer = Answer()
    for name in names:
        answer = bout.session(actor, step.session).simple(bout.fill(step.sql.replace("{" + word + "}", name)))
        if not answer.failed:
            break
    return answer


def do_each_policy(bout, actor: str, step: Step) -> Answer:
    rows = bout.admin.must("SELECT quote_ident(polname) FROM pg_policy WHERE polrelid = 'app.course'::regclass").rows
    return _each(bout, actor, step, "policy", [r[0] for r in rows])


def do_each_trigger(bout, actor: str, step: Step) -> Answer:
    rows = bout.admin.must("SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = 'app.course'::regclass "
                           "AND NOT tgisinternal").rows
    return _each(bout, actor, step, "trigger", [r[0] for r in rows])


def do_replace_function(bout, actor: str, step: Step) -> Answer:
    signature = bout.admin.value("SELECT p.oid::regprocedure FROM pg_proc p "
                                 "WHERE p.pronamespace = 'domicile'::regnamespace AND p.proname = $1", step.sql)
    if signature is None:
        raise WireError("XX000", f"there is no domicile.{step.sql}")
    definition = bout.admin.value(f"SELECT pg_get_functiondef('{signature}'::regprocedure)")
    head, _, _ = definition.partition("AS $function$")
    if "LANGUAGE plpgsql" in head:
        body = "BEGIN RETURN NULL; END" if "RETURNS void" not in head else "BEGIN END"
    else:
        body = "SELECT NULL"
    return bout.session(actor, step.session).simple(f"{head}AS $function$ {body} $function$")


def do_tenant_reads_nothing_foreign(bout, actor: str, step: Step) -> None:
    answer = bout.session("org", "reader").simple(step.sql)
    assert answer.failed or all(row[0] == bout.arena.own for row in answer.rows), answer.rows[:3]


def do_no_foreign_rows_through_parent(bout, actor: str, step: Step) -> None:
    """Either the attachment was refused, or the partition holds only rows of homed organizations."""
    count = bout.admin.value(f"SELECT count(*) FROM {step.sql} WHERE org_id = {literal(bout.arena.absent)}")
    assert count == "0", f"{count} rows of an absent organization came in with a partition"
