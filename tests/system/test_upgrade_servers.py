"""The guard on PostgreSQL 16, 17 and 18: installed by a CREATEROLE user, and attacked."""

import dataclasses

import pytest
from support.arena import Arena
from support.attack_case import load
from support.attack_driver import Bout
from support.other_postgres import NPM, npm_server

# Every fifteenth case of each family (DOMICILE_TEST_PG_BIN and test_attack_corpus.py run the whole on one of them).
ALL = [case for case in load(("bigint",)) if not case.open]
PART = ALL[::15]


def worded(case, major: int):
    """The case in the words of a newer server."""
    steps = [dataclasses.replace(step, sql=step.sql.replace("force_parallel_mode", "debug_parallel_query"))
             for step in case.steps if not (major >= 17 and "adminpack" in step.sql)]  # which is no longer there
    return dataclasses.replace(case, steps=steps)


@pytest.fixture(scope="module", params=[major for major in sorted(NPM) if major > 15])
def arena(request):
    one = Arena("bigint", bin=npm_server(request.param))
    one.major = request.param
    yield one
    one.drop()


def test_nothing_refused_and_every_organization_homed(arena):
    with arena.superuser() as s:
        assert s.value("SHOW server_version_num").startswith(str(arena.major))
        found = s.must("SELECT kind, object, detail FROM domicile.violations() v WHERE v.severity = 'refuse' OR v.kind ~ 'homed|role|member'").rows
        assert found == []


def test_memberships_grant_no_more_than_they_must(arena):
    """From 16 on a membership has options, and the creator of a role is a member of it."""
    with arena.superuser() as s:
        rows = s.must("SELECT u.rolname, g.rolname, m.inherit_option, m.set_option FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid "
                      "JOIN pg_roles u ON u.oid = m.member WHERE g.rolname ~ '^(domicile_home_|org_)'").rows
        assert rows and all((inherit, set_) == ("f", "f") for _, _, inherit, set_ in rows), rows
        assert s.value("SELECT pg_has_role('domicile_keeper', 'domicile_tenant', 'usage')") == "f"


def test_homing_and_fencing(arena):
    with arena.login("node_login") as node:
        node.must("SELECT domicile.home_organization('77', 1)")
    with arena.superuser() as s:
        s.must("INSERT INTO app.course (org_id, id, title) VALUES (77, 77, 'x')")
        s.must("DELETE FROM app.course WHERE org_id = 77")
    with arena.login("node_login") as node:
        node.must("SELECT domicile.fence_organization('77', 2)")
    with arena.superuser() as s:
        assert s.simple("INSERT INTO app.course (org_id, id, title) VALUES (77, 77, 'x')").sqlstate == "23514"


def test_a_part_of_the_attack_corpus(arena):
    failed = []
    for case in PART:
        try:
            if case.fresh:
                with arena.fresh() as database:
                    Bout(arena, worded(case, arena.major), database).play()
            else:
                Bout(arena, worded(case, arena.major), arena.database).play()
        except AssertionError as error:
            failed.append(f"{case.id}: {error}")
    assert not failed, "\n".join(failed)
