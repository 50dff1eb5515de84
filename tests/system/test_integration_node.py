"""integrations/node against the real pg, Drizzle, Knex, Express and Fastify: tests/integrations/pg.test.mjs."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from support.arena import PASSWORD, Arena
from support.domicile import ROOT
from support.packages import node_packages
from support.pgbouncer import PgBouncer

PACKAGES = ["pg@8", "pg-cursor@2", "drizzle-orm@0.44", "knex@3", "express@4", "fastify@4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    installed = node_packages(*PACKAGES)
    work = tmp_path_factory.mktemp("node")
    (work / "node_modules").symlink_to(installed / "node_modules")
    shutil.copytree(ROOT / "integrations" / "node", work / "domicile")
    for test in (ROOT / "tests" / "integrations").glob("*.mjs"):
        shutil.copy(test, work)
    return work


def test_every_transaction_enters_the_organization_of_its_request_and_no_other(folder):
    arena = Arena("bigint")
    try:
        with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, "transaction", pool_size=3) as bouncer:
            kid, secret, database_id = arena.signing_key()

            def url(port, user, password):
                return f"postgresql://{user}:{password}@127.0.0.1:{port}/{arena.database}"
            given = {"dsn": url(arena.cluster.port, "app_pool", PASSWORD), "pgbouncer": url(bouncer.port, "app_pool", PASSWORD),
                     "superuser": url(arena.cluster.port, "postgres", arena.cluster.password), "own": arena.own,
                     "other": arena.other, "absent": arena.absent, "kid": kid, "secret": secret.hex(), "database_id": database_id}
            done = subprocess.run(["node", "--test", "--test-reporter=tap", "pg.test.mjs"], cwd=folder, text=True,
                                  capture_output=True, timeout=120, env={**os.environ, "DOMICILE_TEST": json.dumps(given)})
    finally:
        arena.drop()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.search(r"^# pass (\d+)", done.stdout, re.M).group(1)) >= 19


def test_python_and_node_name_the_same_errors(folder):
    sys.path.insert(0, str(ROOT / "integrations" / "python"))
    from domicile import errors
    script = ("import { TABLE } from './domicile/src/errors.js';"
              "console.log(JSON.stringify(TABLE.map(([s, c, p, k]) => [s, c, p, k.code, k.status])))")
    (folder / "table.mjs").write_text(script)
    done = subprocess.run(["node", "table.mjs"], cwd=folder, text=True, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout) == [[s, c, p, kind.code, kind.status] for s, c, p, kind in errors.TABLE]


def test_the_type_declarations_name_what_there_is(folder):
    for name in ("index", "errors", "pg", "http", "jobs"):
        declared = set(re.findall(r"export (?:function|class|const) (\w+)", (folder / f"domicile/src/{name}.d.ts").read_text()))
        (folder / "names.mjs").write_text(f"import * as all from './domicile/src/{name}.js'; console.log(Object.keys(all).join(' '))")
        done = subprocess.run(["node", "names.mjs"], cwd=folder, text=True, capture_output=True, timeout=30, check=True)
        exported = set(done.stdout.split())
        if name == "index":  # hands on what errors.js exports
            exported -= set(re.findall(r"export (?:function|class|const) (\w+)", (folder / "domicile/src/errors.d.ts").read_text()))
        assert declared == exported, name
