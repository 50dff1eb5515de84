"""Nodes that witness each other's logs across regions, with the real binary; a witness asked by hand; and litewitness, a
witness of other people, in the same policy."""

import base64
import contextlib
import hashlib
import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from support.domicile import domicile
from support.extra_node import ExtraNode
from support.go_programs import go_tool
from support.local_regions import LocalRegions, free_port, wait_until
from support.tlog import HandLog, cosigned_at, verifier_key

LOG, WITNESS = "ca-central-1", "us-east-1"


class World:
    """The log's node in Canada, a witness in the United States, each an extra node of its region."""

    def __init__(self):
        self.local = LocalRegions()
        self.local.up()
        self.ca_folder = pathlib.Path(self.local.region(LOG)["node_config"]).parent
        self.us_folder = pathlib.Path(self.local.region(WITNESS)["node_config"]).parent
        self.hand = HandLog("hand.example/log")
        self.log = self.witness = None
        self.start_log("")  # its key is made with its first start
        self.log.stop()
        self.log_key = (self.ca_folder / "audit-extra" / "verifier-keys").read_text().strip()
        (self.us_folder / "logs.keys").write_text(f"# whom we witness\n{self.log_key}\n{self.hand.verifier_key}\n")
        self.start_witness()
        self.witness_key = (self.us_folder / "state-extra/audit-keys/witness.pem.verifier-key").read_text().strip()
        self.policy = self.ca_folder / "witnesses.policy"
        self.write_policy()
        self.start_log()

    def write_policy(self, more: str = "", quorum: str = "us"):
        self.policy.write_text(f"log {self.log_key}\nwitness us {self.witness_key} {self.witness.url}/v1/witness\n{more}quorum {quorum}\n")

    def start_log(self, audit: str | None = None):
        if audit is None:
            self.log_port = free_port()
            audit = f'policy_file = "witnesses.policy"\nwitness_absent_ms = 700\nlisten = "127.0.0.1:{self.log_port}"\n'
        self.log = ExtraNode(self.local, LOG, audit=audit)
        self.audit = self.log.audit

    def restart_log(self):
        self.log.stop()
        self.start_log()

    def start_witness(self):
        self.witness = ExtraNode(self.local, WITNESS, audit='witness_logs_file = "logs.keys"\n')

    def drop(self):
        for node in (self.log, self.witness):
            if node is not None:
                node.stop()
        self.local.drop()

    def size(self) -> int:
        path = self.audit / "checkpoint"
        return int(path.read_text().split("\n")[1]) if path.exists() else 0

    def record_something(self):
        before = self.size()
        self.log.process.send_signal(signal.SIGHUP)  # what it reads again is recorded
        wait_until(lambda: self.size() > before, 20, "a checkpoint of more")

    def verify(self, code=0) -> dict:
        return json.loads(domicile("--output", "json", "audit", "verify", self.audit, "--policy", self.policy, check=code == 0).stdout)

    def witnessed(self) -> int:
        done = domicile("--output", "json", "audit", "witness", "status", self.audit, "--policy", self.policy, check=False)
        return json.loads(done.stdout)["witnessed_size"] if done.returncode == 0 else 0

    def events(self, operation: str) -> list[dict]:
        lines = domicile("--output", "json", "audit", "list", self.audit, "--kind", "log_changed").stdout.splitlines()
        return [e for e in map(json.loads, lines) if e["unmapped"]["operation"] == operation]

    def ask(self, body: bytes, path: str = "add-checkpoint") -> tuple[int, str]:
        done = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", self.local.data / "ca.pem", "-w", "\n%{http_code}\n%{content_type}",
                               "--data-binary", "@-", f"{self.witness.url}/v1/witness/{path}"], input=body, capture_output=True)
        answer, code, self.content_type = done.stdout.decode().rsplit("\n", 2)
        return int(code), answer


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.drop()


def test_a_witness_asked_by_hand_answers_as_the_protocol_says(world):
    hand = world.hand
    hand.add("a", "b", "c")
    status, line = world.ask(hand.request(0))
    assert status == 200
    assert abs(cosigned_at(hand.checkpoint(), line.rstrip("\n"), world.witness_key) - time.time()) < 60
    hand.add("d", "e", "f", "g")
    grown = hand.request(3)
    assert world.ask(b"old 3\n\n" + hand.checkpoint().encode())[0] == 422
    assert world.ask(hand.request(2)) == (409, "3\n") and world.content_type == "text/x.tlog.size"
    assert world.ask(b"old 9\n\n" + hand.checkpoint().encode())[0] == 400
    assert world.ask(b"nonsense")[0] == 400
    stranger = HandLog("stranger.example/log")
    assert world.ask(stranger.request(0))[0] == 404
    impostor = HandLog(hand.origin)
    assert world.ask(impostor.request(0))[0] == 403
    assert world.ask(grown)[0] == 200 and world.ask(hand.request(7))[0] == 200
    world.witness.stop()
    world.start_witness()  # it remembers
    world.write_policy()
    world.restart_log()
    assert world.ask(grown) == (409, "7\n")
    fork = HandLog(hand.origin)
    fork.key, fork.public = hand.key, hand.public
    fork.add("a", "b", "c", "x", "y", "z", "w")
    assert world.ask(b"old 7\n\n" + fork.checkpoint().encode()) == (409, "7\n")
    told = wait_until(lambda: [line for line in domicile("--output", "json", "audit", "list", world.witness.audit, "--kind", "log_changed").stdout.splitlines()
                               if "witness.conflict" in line], 20, "the witness tells of two histories")
    event = json.loads(told[-1])
    assert event["severity_id"] == 5 and event["status_code"] == "two_histories"


def test_the_log_is_witnessed_across_the_border(world):
    world.record_something()
    wait_until(lambda: world.witnessed() == world.size() > 0, 30, "the newest checkpoint is cosigned")
    report = world.verify()
    assert report["whole"] and report["checkpoint"]["witnessed_size"] > 0
    assert [w["name"] for w in report["checkpoint"]["witnesses"]] == ["us"]
    proof = world.local.folder / "entry.tlog-proof"
    domicile("audit", "prove", world.audit, 0, "--policy", world.policy, "--to-file", proof)
    assert "with 1 cosignatures" in domicile("audit", "verify-proof", proof, f"{proof}.entry", "--policy", world.policy).stdout
    page = world.local.get(world.log.url + "/metrics")[1]
    assert 'domicile_witness_present{witness="us"} 1' in page and "domicile_witness_quorum_missing 0" in page


def test_the_log_is_verified_from_where_it_is_served(world):
    address = f"http://127.0.0.1:{world.log_port}"
    wait_until(lambda: world.witnessed() == world.size() > 0, 30, "it is witnessed")

    def verify(code=0):
        done = domicile("--output", "json", "audit", "verify", address, "--policy", world.policy, check=code == 0)
        assert done.returncode == code
        return json.loads(done.stdout)
    assert verify()["checkpoint"]["witnessed_size"] > 0
    proof = world.local.folder / "served.tlog-proof"
    domicile("audit", "prove", address, 1, "--policy", world.policy, "--to-file", proof)
    domicile("audit", "verify-proof", proof, f"{proof}.entry", "--policy", world.policy)
    for path in (world.audit / f"tile/0/000.p/{world.size()}", world.audit / f"tile/entries/000.p/{world.size()}"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert str(path.relative_to(world.audit)) in verify(1)["problems"][0]
        path.write_bytes(whole)
    assert domicile("audit", "verify", "http://127.0.0.1:1", "--policy", world.policy, check=False).returncode == 3


def test_a_witness_that_is_away_is_told_and_stops_nothing(world):
    wait_until(lambda: world.witnessed() > 0, 30, "it is witnessed")
    world.witness.process.send_signal(signal.SIGSTOP)  # reached, and silent
    try:
        world.record_something()  # checkpoints go on
        wait_until(lambda: world.events("witness.quorum_missing"), 30, "the missing quorum is told")
        wait_until(lambda: world.events("witness.absent"), 30, "the absence is told")
        assert world.events("witness.quorum_missing")[-1]["severity_id"] == 5
    finally:
        world.witness.process.send_signal(signal.SIGCONT)
    wait_until(lambda: world.events("witness.quorum_restored") and world.events("witness.returned"), 60, "it is back")
    assert world.verify()["whole"]


def test_a_history_that_was_rewritten_is_a_conflict(world):
    """The administrator of the log's region restores an older copy of it: his own tools find nothing wrong with it."""
    world.record_something()
    world.log.stop()
    copy = shutil.copytree(world.audit, world.local.folder / "older")
    world.restart_log()
    grown = world.size()
    world.record_something()
    wait_until(lambda: world.witnessed() > grown, 30, "more is witnessed")
    world.log.stop()
    world.audit.rename(world.local.folder / "newer")
    shutil.copytree(copy, world.audit)
    assert json.loads(domicile("--output", "json", "audit", "verify", world.audit).stdout)["whole"]
    world.start_log()
    event = wait_until(lambda: world.events("witness.conflict"), 30, "the conflict is told")[-1]
    assert event["severity_id"] == 5 and event["status_code"] in ("witness_ahead", "witness_disagrees")
    assert 'domicile_witness_present{witness="us"} 0' in world.local.get(world.log.url + "/metrics")[1]
    # Whoever kept a checkpoint sees it as well.
    kept = world.local.folder / "newer" / "checkpoint.witnessed"
    assert domicile("audit", "verify", world.audit, "--policy", world.policy, "--since", kept, check=False).returncode == 1
    world.log.stop()
    shutil.rmtree(world.audit)
    (world.local.folder / "newer").rename(world.audit)
    world.start_log()
    wait_until(lambda: world.witnessed() == world.size(), 60, "the true log is witnessed again")


class LiteWitness:
    """filippo.io/torchwood's litewitness, with its key in an ssh-agent."""

    def __init__(self, folder: pathlib.Path, log_key: str):
        program = go_tool("filippo.io/torchwood/cmd/litewitness", "v0.6.1")
        folder.mkdir()
        self.processes = []
        database, socket, key = folder / "lite.db", folder / "agent", folder / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.processes.append(subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL))
        wait_until(socket.exists, 20, "the agent listens")
        subprocess.run(["ssh-add", "-q", key], check=True, env={"SSH_AUTH_SOCK": str(socket), "PATH": "/usr/bin"})
        fingerprint = subprocess.run(["ssh-keygen", "-l", "-f", key], check=True, text=True, capture_output=True).stdout.split()[1]
        public = base64.b64decode((folder / "id.pub").read_text().split()[1])[-32:]
        self.key = verifier_key("lite.example/w", 4, public)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with open(folder / "log", "w") as out:
            self.processes.append(subprocess.Popen([program, "-db", database, "-name", "lite.example/w", "-key", fingerprint, "-ssh-agent", socket,
                                                    "-listen", f"127.0.0.1:{port}"], stdout=out, stderr=out))
        wait_until(lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", self.url]).returncode == 0, 20, "litewitness answers")
        # What its witnessctl would write, whose dependencies cannot all be had from the module proxy.
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            origin = log_key.split("+")[0]
            empty = base64.b64encode(hashlib.sha256(b"").digest()).decode()
            db.execute("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", (origin, empty))
            db.execute("INSERT INTO key (origin, key) VALUES (?, ?)", (origin, log_key))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(20)


def test_litewitness_cosigns_the_log_too(world):
    lite = LiteWitness(world.local.folder / "lite", world.log_key)
    try:
        world.write_policy(f"witness lite {lite.key} {lite.url}\ngroup both all us lite\n", "both")
        world.restart_log()
        world.record_something()
        wait_until(lambda: world.witnessed() == world.size(), 60, "both cosign")
        report = world.verify()
        assert report["whole"] and {w["name"] for w in report["checkpoint"]["witnesses"]} == {"us", "lite"}
        # And it refuses what is not ours.
        note = (world.audit / "checkpoint").read_text()
        changed = note.replace(note.split("\n")[2], "A" * 43 + "=", 1)
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", lite.url + "/add-checkpoint"],
                              input=f"old {world.size()}\n\n{changed}".encode(), capture_output=True)
        assert done.stdout == b"403"
    finally:
        lite.stop()
        world.write_policy()
        world.restart_log()


def test_a_policy_or_a_list_of_logs_that_is_wrong_stops_the_start(world):
    refused = []
    for setting, file, text in (("policy_file", "bad.policy", "witness w nonsense\nquorum none\n"), ("witness_logs_file", "bad.keys", world.witness_key),
                                ("policy_file", "silent.policy", f"witness w {world.witness_key}\nquorum w\n")):
        (world.ca_folder / file).write_text(text)
        config = world.ca_folder / "bad.toml"
        original = (world.ca_folder / "extra.toml").read_text()
        config.write_text(original.replace("[audit]\n", f'[audit]\n{setting} = "{file}"\n').replace('policy_file = "witnesses.policy"\n', "")
                          .replace('directory = "audit-extra"', 'directory = "audit-bad"').replace("state-extra", "state-bad"))
        config.chmod(0o600)
        refused.append(domicile("serve", "--config", config, check=False, timeout=60))
    assert "bad.policy: line 1" in refused[0].stderr and "not a verifier key" in refused[0].stderr
    assert "bad.keys" in refused[1].stderr and "type 0x01" in refused[1].stderr
    assert "silent.policy: no witness has a URL" in refused[2].stderr
