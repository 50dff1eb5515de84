"""The index beside a node that serves: what becomes durable is found by a question, once, also after kill -9; the question
becomes an event; an index that is away stops nothing."""

import json
import signal

import pytest

from support.extra_node import ExtraNode
from support.local_regions import wait_until
from support.log_index import Index, run
from support.serving import reader_token, regions  # noqa: F401 (fixtures)

REGION = "ca-central-1"


@pytest.fixture(scope="module")
def index(cluster, tmp_path_factory):
    return Index(cluster, tmp_path_factory.mktemp("index"))


def node_with(regions, index) -> ExtraNode:
    return ExtraNode(regions, REGION, more=f'\n[audit_index]\ndsn_file = "{index.loader}"\n')


def ask_door(regions, node, times: int):
    token = reader_token(regions)
    for number in range(times):
        regions.get(f"{node.url}/api/orgs/7?n={number}", "--header", f"Authorization: Bearer {token}")


def last(log) -> int:
    return json.loads(run("--output", "json", "audit", "list", log).stdout.splitlines()[-1])["metadata"]["sequence"]


def test_events_questions_and_a_crash(regions, index, cluster):
    node = node_with(regions, index)
    try:
        ask_door(regions, node, 20)
        wait_until(lambda: index.status()["complete_to"] >= last(node.audit) >= 20, 20, "the index is beside the log")
        found = index.ask("decisions", "--person", "auditor@example.com")["rows"]
        assert sum(row["times"] for row in found if row["event_code"] == "request") >= 20
        asked = "SELECT count(*) FROM domicile_index.event WHERE operation = 'log.query' AND actor_role = 'domicile_index_reader'"
        wait_until(lambda: index.rows(asked) == [(1,)], 20, "the question is an event of the log, and in the index")
        assert index.rows("SELECT count(*) FROM domicile_index.asked") == [(0,)]
        ask_door(regions, node, 5)
        node.process.send_signal(signal.SIGKILL)
        node.process.wait(20)
    finally:
        node.stop()
    node = node_with(regions, index)
    try:
        ask_door(regions, node, 5)
        wait_until(lambda: index.status()["complete_to"] >= last(node.audit), 20, "the index goes on")
        status = index.status()
        assert status["whole"] and status["rows"] == status["complete_to"]
        cluster.stop("immediate")
        ask_door(regions, node, 3)
        assert regions.get(node.url + "/readyz")[0] == 200
        cluster.start()
        wait_until(lambda: index.status()["complete_to"] >= last(node.audit), 20, "the index is back")
        assert index.status()["whole"]
    finally:
        node.stop()


def test_an_erased_organization_leaves_the_index(regions, index):
    node = node_with(regions, index)
    try:
        ask_door(regions, node, 3)
        named = "SELECT count(*) FROM domicile_index.event WHERE organization = '7' AND (actor IS NOT NULL OR source_ip IS NOT NULL)"
        wait_until(lambda: index.status()["complete_to"] >= last(node.audit), 20, "the index is beside the log")
        assert index.rows(named)[0][0] >= 3
        rows = index.rows("SELECT count(*) FROM domicile_index.event WHERE organization = '7'")[0][0]
        run("audit", "erase", "--organization", "7", "--ticket", "T-1", "--config", node.config)
        wait_until(lambda: index.rows(named) == [(0,)], 30, "nobody is named any more")
        assert index.rows("SELECT count(*) FROM domicile_index.event WHERE organization = '7'")[0][0] >= rows
        assert index.status()["whole"]
    finally:
        node.stop()
