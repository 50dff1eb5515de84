"""Findings: a node runs the checks, what they find opens in the region's database, people work on it, what is repaired
is fixed by the next run, and what is accepted opens again when its time is over. The history is only ever added to."""

import json
import subprocess

import psycopg
import pytest
from support.domicile import binary, domicile, domicile_json
from support.extra_node import ExtraNode
from support.local_regions import wait_until
from support.receivers import Webhook, new_secret
from support.serving import REGION, regions  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def hook(regions):
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def node(regions, hook):
    new_secret(regions.folder / "hook.secret")
    (regions.folder / "receivers.toml").write_text(
        f'[[webhook]]\nname = "hook"\nurl = "{hook.url}"\nsecret_file = "hook.secret"\nleast_level = "high"\n')
    made = ExtraNode(regions, REGION, more=f'\n[checks]\nconfig = "{regions.data}/checks.toml"\nevery_ms = 3000\n'
                                           f'[alerts]\nreceivers = "{regions.folder}/receivers.toml"\n')
    yield made
    made.stop()


@pytest.fixture(scope="module")
def dsn(regions):
    return regions.region(REGION)["dsn_files"]["node"]


def findings(dsn, *arguments) -> list[dict]:
    return domicile_json("finding", "list", "--dsn-file", dsn, *arguments)


def one(dsn, check: str, *arguments) -> dict | None:
    return next(iter(findings(dsn, "--check", check, *arguments)), None)


def refused(*arguments) -> str:
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=60)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def role(regions, node, dsn):
    """A role that nobody declared, which passes row security, seen by the checks."""
    with regions.superuser(REGION) as c:
        c.execute("CREATE ROLE sneaky BYPASSRLS")
    found = wait_until(lambda: one(dsn, "DOM-ROL-001", "--state", "open"), 90, "the check finds the role")
    return found


def test_a_check_of_the_node_opens_a_finding_and_an_alert(role, hook, dsn):
    assert role["severity"] in ("high", "critical") and role["source"] == "check" and role["object"].startswith(REGION)
    wait_until(lambda: "role_past_row_security" in [b["subject"] for b in hook.bodies()], 30, "the alert of it")
    by_rule = wait_until(lambda: one(dsn, "role_past_row_security"), 30, "the finding of the detection")
    assert by_rule["source"] == "detection"
    before = role["times"]
    again = wait_until(lambda: (row := one(dsn, "DOM-ROL-001"))["times"] > before and row, 60, "it is seen again")
    assert again["id"] == role["id"]  # one finding, however often it is seen


def test_evidence_says_what_was_looked_at_and_when(role, dsn):
    done = domicile("--output", "json", "finding", "evidence", "--dsn-file", dsn, check=False)
    rows = {(r["check"], r["object"]): r for r in json.loads(done.stdout)}
    assert rows["DOM-ROL-001", REGION]["outcome"] == "fail" and not rows["DOM-ROL-001", REGION]["stale"]
    with psycopg.connect(open(dsn).read(), autocommit=True) as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("UPDATE domicile.finding_evidence SET last_evidence = now()")


def test_people_work_on_it_and_each_step_is_an_event(regions, role, dsn, node):
    number = role["id"]
    domicile("finding", "ack", number, "--by", "ann", "--note", "on it", "--dsn-file", dsn)
    domicile("finding", "assign", number, "--to", "bob", "--by", "ann", "--dsn-file", dsn)
    assert "approver who is not who accepts" in refused("finding", "accept", number, "--by", "ann", "--approver", "ann", "--reason", "x",
                                                        "--for", "1h", "--dsn-file", dsn)
    assert "400 days" in refused("finding", "accept", number, "--by", "ann", "--approver", "carl", "--reason", "x", "--for", "500d", "--dsn-file", dsn)
    domicile("finding", "accept", number, "--by", "ann", "--approver", "carl", "--reason", "until Friday", "--for", "1h", "--dsn-file", dsn)
    shown = domicile_json("finding", "show", number, "--dsn-file", dsn)
    assert shown["state"] == "accepted" and shown["accepted"]["approver"] == "carl" and shown["owner"] == "bob"
    assert [s["step"] for s in shown["history"]] == ["opened", "acknowledged", "assigned", "accepted"]
    assert "no way by acknowledge" in refused("finding", "ack", number, "--by", "ann", "--dsn-file", dsn)
    assert "no finding 999999" in refused("finding", "ack", 999999, "--by", "ann", "--dsn-file", dsn)

    def recorded():
        return {event["unmapped"]["operation"] for log in (node.audit, node.audit.with_name("audit"))
                for path in log.glob("events-*.jsonl") for line in path.read_text().splitlines()
                if (event := json.loads(line)).get("metadata", {}).get("event_code") == "policy_changed"}
    wait_until(lambda: {"finding.acknowledge", "finding.assign", "finding.accept"} <= recorded(), 30, "the steps are in the log")
    with regions.superuser(REGION) as c:  # the hour is over
        c.execute("UPDATE domicile.finding SET accepted_until = now() - interval '1 second' WHERE id = %s", (number,))
        c.execute("SELECT domicile.expire_findings()")
    assert one(dsn, "DOM-ROL-001")["state"] == "open"
    wait_until(lambda: "finding.expire" in recorded(), 30, "its end is in the log")


def test_what_is_repaired_is_fixed_by_the_next_run_and_opens_again_when_seen_again(regions, role, dsn):
    with regions.superuser(REGION) as c:
        c.execute("DROP ROLE sneaky")
    wait_until(lambda: one(dsn, "DOM-ROL-001", "--state", "fixed"), 90, "the check passes")
    with regions.superuser(REGION) as c:
        c.execute("CREATE ROLE sneaky BYPASSRLS")
    again = wait_until(lambda: one(dsn, "DOM-ROL-001", "--state", "open"), 90, "it is there again")
    assert again["id"] == role["id"]
    assert domicile_json("finding", "show", role["id"], "--dsn-file", dsn)["history"][-1]["step"] == "reopened"
    with regions.superuser(REGION) as c:
        c.execute("DROP ROLE sneaky")


def test_the_history_is_only_ever_added_to(regions, role, dsn):
    with psycopg.connect(open(dsn).read(), autocommit=True) as c:
        for statement in ("DELETE FROM domicile.finding_history", "UPDATE domicile.finding SET state = 'fixed'",
                          "INSERT INTO domicile.finding_history (finding_id, step, by_operator) VALUES (1, 'fixed', 'x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(statement)
    with regions.superuser(REGION) as c, pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added to"):
        c.execute("DELETE FROM domicile.finding_history")
