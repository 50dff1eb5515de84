"""A node's published log: served, followed, and whole after whatever happens to the node."""

import json
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from support.domicile import binary, domicile
from support.http_door import read_answer
from support.local_regions import wait_until
from support.serving import REGION, Serving, regions, target, token  # noqa: F401 (fixtures)


def audit(*arguments, check=True):
    return domicile("--output", "json", "audit", *arguments, check=check)


def checkpoint_size(folder: pathlib.Path) -> int:
    try:
        return int((folder / "checkpoint").read_text().splitlines()[1])
    except FileNotFoundError:
        return 0


def get(url: str):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_the_log_is_served_and_nothing_else_is(regions):
    region = regions.region(REGION)
    folder = pathlib.Path(region["audit"])
    url = f"http://127.0.0.1:{region['ports']['log']}"
    size = wait_until(lambda: checkpoint_size(folder), 20, "a checkpoint")
    assert get(url + "/checkpoint")[1].startswith(b"domicile/" + REGION.encode() + b"\n")
    keys = folder / "verifier-keys"
    assert json.loads(audit("verify", url, "--key-file", keys).stdout)["whole"] is True
    assert size > 0 and get(url + "/verifier-keys")[1] == keys.read_bytes()
    for path in ("/", "/lock", "/events-00000000000000000001.jsonl", "/personal/000", "/keys/current", "/tile/0/../../lock", "/tile/8/000"):
        assert get(url + path)[0] in (400, 404), path
    request = urllib.request.Request(url + "/checkpoint", data=b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code == 405


def test_tail_follows_and_filters(regions, token):
    serving = Serving(regions, token)
    try:
        command = [str(binary()), "--output", "json", "audit", "tail", str(serving.node.audit), "-n", "0", "--follow", "--kind", "request"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            try:
                # Until the follower looks, it shows nothing: ask until something is seen.
                seen = []
                while not seen:
                    assert serving.ask(target(1)).status == 200
                    seen = [follower.stdout.readline()]
                event = json.loads(seen[0])
                assert event["metadata"]["event_code"] == "request" and event["api"]["operation"] == "courses.list"
            finally:
                follower.kill()
        sequence = event["metadata"]["sequence"]
        assert json.loads(audit("show", serving.node.audit, sequence).stdout) == event
        last = [json.loads(line) for line in audit("tail", serving.node.audit, "-n", "2").stdout.splitlines()]
        assert len(last) == 2 and last[1]["metadata"]["sequence"] == last[0]["metadata"]["sequence"] + 1
    finally:
        serving.stop()


def test_kill_nine_leaves_a_log_that_verifies_and_holds_every_strict_answer(regions, token):
    """Three times: kill -9 under load, start again. The log verifies, goes on, and has an event for every answer that was given."""
    serving = Serving(regions, token)
    serving.routes.write_text(serving.routes.read_text().replace('audit = "bounded"', 'audit = "strict"'))
    answered, node = 0, serving.node
    try:
        for _ in range(3):
            node.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 1.5
            with serving.connect() as connection:
                while time.monotonic() < deadline:
                    connection.sendall(serving.request(target(answered)))
                    assert read_answer(connection).status == 200
                    answered += 1
            node.process.kill()
            node.process.wait()
            report = json.loads(audit("verify", node.audit, "--key-file", node.audit / "verifier-keys").stdout)
            assert report["whole"] is True
            node.process = subprocess.Popen([str(binary()), "serve", "--config", str(node.config)], stdout=node.log, stderr=node.log)
            wait_until(lambda: regions.get(node.url + "/readyz")[0] == 200, 20, "the node is ready again")
        served = audit("list", node.audit, "--kind", "request", "--outcome", "allowed").stdout.splitlines()
        assert len(served) >= answered > 100
        durable = json.loads(served[-1])["metadata"]["sequence"]
        wait_until(lambda: checkpoint_size(node.audit) >= durable, 20, "all of it is under a checkpoint")
        assert json.loads(audit("verify", node.audit, "--key-file", node.audit / "verifier-keys").stdout)["whole"] is True
    finally:
        serving.stop()


def test_a_listener_off_loopback_wants_certificates(regions, tmp_path):
    text = pathlib.Path(regions.region(REGION)["node_config"]).read_text()
    before, after = text.split("[audit]\n")
    config = pathlib.Path(regions.region(REGION)["node_config"]).with_name("open.toml")
    config.write_text(before + "[audit]\n" + after.replace("127.0.0.1:", "0.0.0.0:"))
    config.chmod(0o600)
    refused = subprocess.run([str(binary()), "serve", "--config", str(config)], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2 and "entries do not leave the region" in refused.stderr
