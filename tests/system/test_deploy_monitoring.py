"""What deploy/ offers for watching nodes: Prometheus rules that promtool tests, a dashboard for Grafana; and every metric that
either names is one that a node shows."""

import json
import re
import subprocess

import pytest
from support.domicile import ROOT
from support.extra_node import ExtraNode
from support.receivers import new_secret
from support.serving import REGION, one_school

RULES = ROOT / "deploy" / "prometheus" / "domicile.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "domicile.json"


def test_promtool_accepts_the_rules_and_their_tests():
    for arguments in (["check", "rules", RULES], ["test", "rules", RULES.with_name("domicile.rules.test.yml")]):
        done = subprocess.run(["promtool", *map(str, arguments)], text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", RULES.with_name("domicile.rules.test.yml").read_text()))
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert alerts - tested <= {"DomicileDetectionsMissed", "DomicileRequestsFailClosed"}


@pytest.fixture(scope="module")
def page():
    local = one_school()
    try:
        new_secret(local.folder / "hook.secret")
        (local.folder / "receivers.toml").write_text(
            '[[webhook]]\nname = "hook"\nurl = "http://127.0.0.1:1/"\nsecret_file = "hook.secret"\n')
        node = ExtraNode(local, REGION, more=f'\n[alerts]\nreceivers = "{local.folder}/receivers.toml"\n')
        yield local.get(node.url + "/metrics")[1]
        node.stop()
    finally:
        local.drop()


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda p: p.name)
def test_every_metric_is_one_that_a_node_shows(page, file):
    text = file.read_text()
    if file == DASHBOARD:
        text = "\n".join(target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"])
    named = set(re.findall(r"\bdomicile_[a-z_]+", text)) - {"domicile_"}
    shown = set(re.findall(r"^(domicile_[a-z_]+)", page, re.M))
    assert named and named <= shown, named - shown
