"""Workers, the Lambda authorizer and nginx against real nodes, regions and the sample application."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from support.domicile import ROOT, domicile
from support.extra_node import ExtraNode
from support.local_regions import LocalRegions
from support.other_proxies import TOKEN as PROXY_TOKEN
from support.other_proxies import Nginx
from support.packages import node_packages

sys.path.insert(0, str(ROOT / "integrations" / "python"))
import domicile as dom  # noqa: E402
from domicile import jobs  # noqa: E402
from domicile import psycopg as dpg  # noqa: E402

OWN, OTHER, ABROAD = "7", "8", "9"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.up()
        for key, region in ((OWN, "ca-central-1"), (OTHER, "ca-central-1"), (ABROAD, "us-east-1")):
            domicile("org", "create", key, "--slug", f"school-{key}", "--region", region, "--ca-file", local.data / "ca.pem",
                     "--peer-token-file", local.data / "regions/ca-central-1/node/peer.token",
                     "--registry-dsn-file", local.region("ca-central-1")["dsn_files"]["registry"])
        node = local.region("ca-central-1")["dsn_files"]["node"]
        for key in (OWN, OTHER):
            domicile("client", "create", "--id", f"worker-{key}", "--org", key, "--permission", "context:issue", "--dsn-file",
                     node, "--secret-file", local.folder / f"worker-{key}.secret")
        domicile("client", "create", "--id", "plain", "--org", OWN, "--permission", "courses:read", "--dsn-file", node,
                 "--secret-file", local.folder / "plain.secret")
        with local.superuser("ca-central-1") as db:
            for key in (OWN, OTHER):
                db.execute("INSERT INTO learning.organization (id, name, kind, country_code) VALUES (%s, %s, 'school', 'CA')",
                           [key, f"School {key}"])
        yield local
    finally:
        local.drop()


def secret(regions, client):
    return (regions.folder / f"{client}.secret").read_text().strip()


def access_token(regions, client):
    """For what the sample application's routes ask: a service that may read courses."""
    done = domicile("token", "get", "--issuer", regions.region("ca-central-1")["url"], "--ca-file", regions.data / "ca.pem",
                    "--client", client, "--client-secret-file", regions.folder / f"{client}.secret")
    return done.stdout.strip().splitlines()[-1]


def pool_dsn(regions):
    port = regions.region("ca-central-1")["ports"]["postgresql"]
    file = regions.data / "regions/ca-central-1/secrets/learning_pool.pgpass"
    return f"host=127.0.0.1 port={port} dbname=learning user=learning_pool passfile='{file}'"


def source(regions, credentials=None):
    def of(organization):
        return f"worker-{organization}", secret(regions, f"worker-{organization}")
    return jobs.ContextSource(regions.region("ca-central-1")["url"], credentials or of, ca_file=str(regions.data / "ca.pem"))


# ---- workers ------------------------------------------------------------------------------------

def test_a_job_enters_its_organization_with_a_context_of_its_own(regions):
    contexts = source(regions)
    for key in (OWN, OTHER):
        request = dom.Context(organization=key, epoch=1, token="spent long ago", request_id="r-1")
        queued = json.dumps(jobs.Ticket.of(request).to_dict())
        assert "spent" not in queued
        with contexts.work_for(jobs.Ticket.from_dict(json.loads(queued))), dpg.Connection.connect(pool_dsn(regions)) as db:
            for _ in range(2):
                assert [str(r[0]) for r in db.execute("SELECT id FROM learning.organization")] == [key]
                db.commit()


def test_a_stolen_or_altered_job_reaches_no_other_organization(regions):
    thief = source(regions, lambda organization: (f"worker-{OWN}", secret(regions, f"worker-{OWN}")))
    for key, epoch, reason in ((OTHER, 1, "organization_mismatch"), (ABROAD, 1, "organization_mismatch"),
                               ("12345", 1, "organization_mismatch"), (OWN, 0, "stale_job")):
        with pytest.raises(dom.ContextRefused) as caught:
            thief.context(jobs.Ticket(key, epoch))
        assert caught.value.reason == reason
    with pytest.raises(dom.ContextRefused) as caught:  # a service without the permission asks for it in vain
        source(regions, lambda organization: ("plain", secret(regions, "plain"))).context(jobs.Ticket(OWN, 1))
    assert caught.value.reason == "invalid_scope"
    with pytest.raises(dom.ContextRefused) as caught:
        source(regions, lambda organization: (f"worker-{OWN}", "guessed")).context(jobs.Ticket(OWN, 1))
    assert caught.value.reason == "invalid_client"
    with pytest.raises(dom.NodeUnavailable):
        jobs.ContextSource("https://127.0.0.1:1", lambda o: ("x", "y")).context(jobs.Ticket(OWN, 1))
    with pytest.raises(ValueError):
        jobs.ContextSource("http://node.example", lambda o: ("x", "y"))


def test_an_organization_that_moved_stops_its_jobs(regions):
    """Suspended and active again: its placement's epoch has grown."""
    contexts = source(regions)
    contexts.context(jobs.Ticket(OTHER, 1))
    arguments = ["--ca-file", regions.data / "ca.pem", "--peer-token-file", regions.data / "regions/ca-central-1/node/peer.token",
                 "--registry-dsn-file", regions.region("ca-central-1")["dsn_files"]["registry"]]
    domicile("org", "suspend", OTHER, *arguments)
    with pytest.raises((dom.ContextRefused, dom.NodeUnavailable)) as caught:
        source(regions).context(jobs.Ticket(OTHER, 1))
    assert caught.value.code in ("context_refused", "node_unavailable")
    domicile("org", "resume", OTHER, *arguments)
    epoch = json.loads(domicile("--output", "json", "org", "show", OTHER, "--registry-dsn-file",
                                regions.region("ca-central-1")["dsn_files"]["registry"]).stdout)["epoch"]
    assert epoch > 1
    with pytest.raises(dom.ContextRefused) as refused:
        source(regions).context(jobs.Ticket(OTHER, 1))
    assert refused.value.reason == "stale_job"
    assert source(regions).context(jobs.Ticket(OTHER, epoch)).organization == OTHER


def test_every_context_that_was_given_or_refused_is_an_event(regions):
    contexts = source(regions)
    contexts.context(jobs.Ticket(OWN, 1))
    with pytest.raises(dom.ContextRefused):
        source(regions, lambda o: (f"worker-{OWN}", secret(regions, f"worker-{OWN}"))).context(jobs.Ticket(OTHER, 1))
    done = domicile("--output", "json", "audit", "list", "--config", regions.region("ca-central-1")["node_config"], "--open")
    issued = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("api", {}).get("operation") == "context.issue"]
    assert {"Success", "Failure"} <= {line["status"] for line in issued}
    assert any(line.get("actor", {}).get("user", {}).get("uid") == f"worker-{OWN}" for line in issued)


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory):
    work = tmp_path_factory.mktemp("node")
    (work / "node_modules").symlink_to(node_packages("pg@8") / "node_modules")
    shutil.copytree(ROOT / "integrations" / "node", work / "domicile")
    shutil.copytree(ROOT / "integrations" / "aws-lambda-authorizer", work / "authorizer")
    for test in (ROOT / "tests" / "integrations").glob("*.mjs"):
        shutil.copy(test, work)
    return work


def run_node(folder, script, given):
    done = subprocess.run(["node", "--test", "--test-reporter=tap", script], cwd=folder, text=True, capture_output=True,
                          timeout=60, env={**os.environ, "DOMICILE_TEST": json.dumps(given)})
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    return int(re.search(r"^# pass (\d+)", done.stdout, re.M).group(1))


def test_a_worker_in_node_holds_the_same(regions, node_folder):
    port = regions.region("ca-central-1")["ports"]["postgresql"]
    line = (regions.data / "regions/ca-central-1/secrets/learning_pool.pgpass").read_text().strip()
    given = {"url": regions.region("ca-central-1")["url"], "ca": str(regions.data / "ca.pem"), "own": OWN, "other": OTHER,
             "client": f"worker-{OWN}", "secret": secret(regions, f"worker-{OWN}"),
             "dsn": f"postgresql://learning_pool:{line.rpartition(':')[2]}@127.0.0.1:{port}/learning"}
    assert run_node(node_folder, "worker.test.mjs", given) == 2


# ---- other proxies ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def authorizing(regions):
    token_file = regions.folder / "authorize.token"
    token_file.write_text(PROXY_TOKEN + "\n")
    token_file.chmod(0o600)
    node = ExtraNode(regions, "ca-central-1", f'authorize_proxies = ["127.0.0.0/8"]\nauthorize_token_file = "{token_file}"\n')
    yield node
    node.stop()


def test_the_lambda_authorizer_decides_as_the_node_does(regions, authorizing, node_folder):
    given = {"url": authorizing.url, "ca": str(regions.data / "ca.pem"), "proxy_token": PROXY_TOKEN, "own": OWN, "other": OTHER,
             "token": access_token(regions, "plain")}
    assert run_node(node_folder, "authorizer.test.mjs", given) >= 19


@pytest.fixture
def nginx(regions, authorizing, tmp_path):
    proxy = Nginx(tmp_path, authorizing.port, regions.region("ca-central-1")["ports"]["application"], regions.data / "ca.pem")
    yield f"http://127.0.0.1:{proxy.port}"
    proxy.stop()


def test_nginx_asks_the_node_and_the_application_gets_the_context(regions, nginx):
    bearer = f"Authorization: Bearer {access_token(regions, 'plain')}"
    status, body = regions.get(f"{nginx}/api/orgs/{OWN}", "-H", bearer)
    assert (status, json.loads(body)["name"]) == (200, f"School {OWN}"), body
    for forged in ("Domicile-Organization: 8", "Domicile-Context: x", "X-Forwarded-Uri: /healthz", "X-Forwarded-Method: PUT",
                   "Domicile-Proxy-Token: x", "X_Forwarded_Uri: /api/orgs/8"):
        status, body = regions.get(f"{nginx}/api/orgs/{OWN}", "-H", bearer, "-H", forged)
        assert (status, json.loads(body)["name"]) == (200, f"School {OWN}"), forged
    for path, expected in ((f"/api/orgs/{OTHER}", 403), ("/nowhere", 404)):
        assert regions.get(nginx + path, "-H", bearer)[0] == expected
    assert regions.get(f"{nginx}/api/orgs/{OWN}")[0] == 401


def test_nginx_lets_nothing_through_when_the_node_is_away(regions, authorizing, nginx):
    """Last: it stops the extra node."""
    bearer = f"Authorization: Bearer {access_token(regions, 'plain')}"
    assert regions.get(f"{nginx}/api/orgs/{OWN}", "-H", bearer)[0] == 200
    records = pathlib.Path(authorizing.audit)
    authorizing.stop()
    assert regions.get(f"{nginx}/api/orgs/{OWN}", "-H", bearer)[0] == 503
    done = domicile("--output", "json", "audit", "list", records)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(line.get("api", {}).get("operation") == "organization.read" and line["status"] == "Success" for line in lines)
    assert any(line.get("status_code") == "untrusted_proxy" for line in lines)
