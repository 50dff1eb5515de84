"""Alerts reach people: every rule is fired through its real path to a real Alertmanager and a webhook, and a node tells
both of what happens at its door, once, also when they were away."""

import json
import pathlib
import subprocess

import pytest
from support.domicile import binary, domicile_json
from support.extra_node import ExtraNode
from support.local_regions import wait_until
from support.receivers import Alertmanager, Webhook, is_signed, new_secret
from support.serving import REGION, one_school


def run(*arguments, code=0):
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture
def hook():
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture
def alertmanager(tmp_path, hook):
    made = Alertmanager(tmp_path / "am", hook)
    yield made
    made.kill()


def receivers_file(folder: pathlib.Path, alertmanager: str = "", webhook: str = "", least: str = "informational"):
    key = new_secret(folder / "hook.secret")
    text = ""
    if alertmanager:
        text += f'[[alertmanager]]\nname = "am"\nurl = "{alertmanager}"\n'
    if webhook:
        text += f'[[webhook]]\nname = "hook"\nurl = "{webhook}"\nsecret_file = "hook.secret"\nleast_level = "{least}"\n'
    (folder / "receivers.toml").write_text(text)
    return folder / "receivers.toml", key


def test_every_rule_fires_through_its_real_path(tmp_path, alertmanager, hook):
    webhook = Webhook()
    file, key = receivers_file(tmp_path, alertmanager.url, webhook.url)
    report = domicile_json("alert", "test", "--receivers", file, "--region", "ca-central-1")
    names = {rule["name"] for rule in domicile_json("rule", "list")}
    assert {rule["rule"] for rule in report["rules"]} == names and all(rule["fired"] for rule in report["rules"])
    assert {r["receiver"]: r["waiting"] for r in report["receivers"]} == {"am": 0, "hook": 0}
    told = alertmanager.alerts()
    assert {a["labels"]["alertname"] for a in told} == names
    assert all(a["labels"]["test"] == "true" and a["labels"]["region"] == "ca-central-1" for a in told)
    wait_until(lambda: {a["labels"]["alertname"] for b in hook.bodies() for a in b["alerts"]} == names, 30, "behind Alertmanager")
    assert {b["subject"] for b in webhook.bodies()} == names
    for headers, body in webhook.got:
        message = json.loads(body)
        assert is_signed(headers, body, key) and not is_signed(headers, body + b" ", key)
        assert headers["content-type"].startswith("application/cloudevents+json") and message["specversion"] == "1.0"
        assert message["id"] == headers["webhook-id"] and message["source"] == "/domicile/ca-central-1"
        assert message["type"] == "domicile.alert.firing" and message["data"]["test"] is True
        assert "192.0.2.1" not in body.decode()  # the address of the probe's sign-ins: nobody is named
    webhook.stop()


def test_one_rule_a_level_and_nobody_at_all(tmp_path, hook):
    file, _ = receivers_file(tmp_path, webhook=hook.url, least="critical")
    run("alert", "test", "--receivers", file, "--rule", "repeated_drift")
    assert not hook.got  # medium
    run("alert", "test", "--receivers", file, "--rule", "rows_abroad", "--dry-run")
    assert not hook.got
    run("alert", "test", "--receivers", file, "--rule", "rows_abroad")
    assert [b["subject"] for b in hook.bodies()] == ["rows_abroad"]
    assert "no rule that detects" in run("alert", "test", "--rule", "nothing", code=1).stderr


def test_a_rule_that_does_not_fire_and_a_receiver_that_does_not_take_are_failures(tmp_path, hook):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.yml").write_text("""title: Never
id: 11111111-2222-4333-8444-555555555555
name: never
level: high
logsource: {product: domicile, service: audit}
detection: {s: {metadata.event_code: request, status_code: nothing}, condition: s}
probe: [{kind: request, outcome: denied, reason: something}]
""")
    assert "NO: its probe does not match" in run("alert", "test", "--rules", rules, "--rule", "never", code=1).stdout
    hook.statuses = [503]
    file, _ = receivers_file(tmp_path, webhook=hook.url)
    assert "it answered 503" in run("alert", "test", "--receivers", file, "--rule", "rows_abroad", code=1).stdout


@pytest.mark.parametrize("text, complaint", [
    ('[[webhook]]\nname = "x"\nurl = "https://x.test/"\n', "secret_file is missing"),
    ('[[webhook]]\nname = "x"\nurl = "http://x.test/"\nsecret_file = "hook.secret"\n', "url must be https"),
    ('[[alertmanager]]\nname = "x"\nurl = "https://x.test/"\npassword = "y"\n', "unknown key 'password'"),
    ('[[alertmanager]]\nname = "x"\nurl = "https://x.test/"\n[[alertmanager]]\nname = "x"\nurl = "https://y.test/"\n', "stands here twice"),
    ('[[alertmanager]]\nname = "x"\nurl = "https://x.test/"\nleast_level = "loud"\n', "least_level is"),
    ('[pager]\n', "'pager' is unknown"),
])
def test_a_file_of_receivers_is_held_to_its_rules(tmp_path, text, complaint):
    new_secret(tmp_path / "hook.secret")
    (tmp_path / "receivers.toml").write_text(text)
    assert complaint in run("alert", "test", "--receivers", tmp_path / "receivers.toml", code=2).stderr


def test_a_secret_that_others_may_read_is_refused(tmp_path, hook):
    file, _ = receivers_file(tmp_path, webhook=hook.url)
    (tmp_path / "hook.secret").chmod(0o644)
    refused = run("alert", "test", "--receivers", file, code=2).stderr
    assert "hook.secret" in refused and "whsec_" not in refused


@pytest.fixture(scope="module")
def regions():
    local = one_school()
    yield local
    local.drop()


def sign_in(regions, node, client: str, secret: str) -> int:
    return regions.get(node.url + "/oauth2/token", "-u", f"{client}:{secret}", "-d", "grant_type=client_credentials")[0]


def test_a_node_with_a_rule_that_it_does_not_understand_says_so_and_does_not_start(regions, tmp_path):
    (tmp_path / "bad.yml").write_text("""title: Bad
id: 11111111-2222-4333-8444-555555555555
level: high
logsource: {product: domicile, service: audit}
detection: {s: {status_code|base64: x}, condition: s}
""")
    with pytest.raises(AssertionError, match='bad.yml: line 5: the modifier "base64" is not supported'):
        ExtraNode(regions, REGION, more=f'\n[detections]\nrules = "{tmp_path}"\n')


def test_a_node_tells_of_what_happens_at_its_door(regions, tmp_path, alertmanager, hook):
    webhook = Webhook(statuses=[500])  # the first message has to come again
    file, key = receivers_file(tmp_path, alertmanager.url, webhook.url)
    node = ExtraNode(regions, REGION, more=f'\n[alerts]\nreceivers = "{file}"\nhold_ms = 6000\nresend_ms = 1000\n')
    try:
        secret = (regions.folder / "reader.secret").read_text().strip()
        for number in range(10):
            assert sign_in(regions, node, f"nobody-{number}", "wrong") == 401
        assert sign_in(regions, node, "reader", secret) == 200
        open_alerts = lambda: [a["labels"]["alertname"] for a in alertmanager.alerts()]
        wait_until(lambda: open_alerts() == ["sign_in_burst_then_success"], 30, "Alertmanager knows")
        alertmanager.kill(forget=True)  # it forgets, and is told again
        alertmanager.start()
        wait_until(lambda: open_alerts() == ["sign_in_burst_then_success"], 30, "Alertmanager knows again")
        wait_until(lambda: len(webhook.got) >= 2, 30, "the webhook got it again")
        first, second = webhook.got[:2]
        assert first[0]["webhook-id"] == second[0]["webhook-id"] and first[1] == second[1]
        data = json.loads(second[1])["data"]
        assert is_signed(*second, key) and data.pop("log") == regions.region(REGION)["url"]
        assert "127.0.0.1" not in json.dumps(data)  # the address of the client: nobody is named
        listed = domicile_json("alert", "list", "--config", node.config)
        assert [a["name"] for a in listed["alerts"]] in (["sign_in_burst_then_success"], [])
        wait_until(lambda: any(b["type"] == "domicile.alert.resolved" for b in webhook.bodies()), 60, "it is over")
        wait_until(lambda: any(b["status"] == "resolved" for b in hook.bodies()), 60, "Alertmanager tells the end")
        node.process.kill()  # and after a crash nothing is told again
        node.process.wait()
        before = [b["id"] for b in webhook.bodies()]
        again = ExtraNode(regions, REGION, more=f'\n[alerts]\nreceivers = "{file}"\nhold_ms = 6000\nresend_ms = 1000\n')
        metrics = wait_until(lambda: "domicile_detections_position" in (page := regions.get(again.url + "/metrics")[1]) and page, 20, "metrics")
        assert "domicile_alerts_open 0" in metrics
        again.stop()
        assert len(set(before)) == 2 and {b["id"] for b in webhook.bodies()} == set(before)
        events = [json.loads(line) for path in sorted(node.audit.glob("events-*.jsonl")) for line in path.read_text().splitlines()]
        detections = [e for e in events if e.get("metadata", {}).get("event_code") == "detection"]
        assert [e["activity_name"] for e in detections] == ["Create", "Close"]
    finally:
        node.stop()
        webhook.stop()
