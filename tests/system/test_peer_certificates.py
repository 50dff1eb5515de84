"""Mutual TLS between the regions' nodes: `domicile up` uses it, and the registry's feed is closed to everybody else, also to
those who hold the peers' token."""

import contextlib
import json
import re
import signal
import subprocess

import pytest
from support.authority import Authority
from support.domicile import domicile
from support.extra_node import ExtraNode
from support.local_regions import LocalRegions, alive, wait_until

MASTER, PEER = "ca-central-1", "us-east-1"


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.up()
        yield local
    finally:
        local.drop()


def node(regions, region):
    return regions.data / "regions" / region / "node"


def feed(regions, url, *options, token=None):
    """Status and reason of a question for the registry's changes; what curl says where there is no answer."""
    token = token or (node(regions, MASTER) / "peer.token").read_text().strip()
    done = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", str(regions.data / "ca.pem"), "-w", "\n%{http_code}", "-H",
                           f"Authorization: Bearer {token}", *map(str, options), f"{url}/v1/registry/changes?since=0&limit=1"],
                          text=True, capture_output=True)
    body, _, code = done.stdout.rpartition("\n")
    if not int(code or 0):
        return 0, done.stderr
    return int(code), json.loads(body).get("reason", "")


def shown(folder, name="peer"):
    return ["--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key"]


def refusals(audit) -> list[dict]:
    done = domicile("--output", "json", "audit", "list", audit)
    return [line for line in map(json.loads, done.stdout.splitlines()) if line.get("api", {}).get("operation") == "registry.read"]


def test_the_local_regions_speak_to_each_other_by_certificate(regions):
    master = regions.region(MASTER)
    assert 'client_ca = "ca.pem"' in (node(regions, MASTER) / "node.toml").read_text()
    domicile("org", "create", "77", "--slug", "school-77", "--region", PEER, "--ca-file", regions.data / "ca.pem", "--peer-token-file",
             node(regions, MASTER) / "peer.token", "--registry-dsn-file", master["dsn_files"]["registry"])  # waits for us-east-1
    assert feed(regions, master["url"], *shown(node(regions, PEER)), "-H", f"Domicile-Region: {PEER}") == (200, "")
    shape = subprocess.run(["openssl", "x509", "-in", str(node(regions, PEER) / "peer.pem"), "-noout", "-ext",
                            "subjectAltName,extendedKeyUsage"], text=True, capture_output=True, check=True).stdout
    assert f"URI:urn:domicile:region:{PEER}" in shape and "TLS Web Client Authentication" in shape and "Server" not in shape


def test_the_token_alone_opens_the_feed_to_nobody(regions, tmp_path):
    master = regions.region(MASTER)
    url, peer = master["url"], node(regions, PEER)
    claim = ["-H", f"Domicile-Region: {PEER}"]
    assert feed(regions, url, *claim) == (403, "peer_certificate_required")
    assert feed(regions, url, *shown(peer)) == (403, "peer_region_mismatch")
    assert feed(regions, url, *shown(peer), "-H", f"Domicile-Region: {MASTER}") == (403, "peer_region_mismatch")
    assert feed(regions, url, *shown(peer), *claim, *claim)[0] in (400, 403)
    assert feed(regions, url, *shown(peer), *claim, token="0" * 64)[0] == 401
    # Of the door: a server's certificate by the same authority is nobody's as a client.
    assert feed(regions, url, *shown(peer, "door"), *claim)[0] == 0
    stranger = Authority(tmp_path, "stranger").issue("us", regions=(PEER,))
    status, said = feed(regions, url, "--cert", stranger.path, "--key", stranger.key_path, *claim)
    assert status == 0 and "unknown ca" in said
    lines = wait_until(lambda: refusals(master["audit"]), 10, "the refusals are recorded")
    assert {line["severity"] for line in lines} == {"High"} and lines[0]["status_code"] == "peer_certificate_required"


@pytest.fixture
def own(regions, tmp_path):
    """A second node of the master region whose peers' authority is the test's own, with revocation lists."""
    peers = Authority(tmp_path, "peers")
    crl = peers.revocations()
    extra = ExtraNode(regions, MASTER, peers=f'client_ca = "{peers.path}"\nclient_crl = "{crl}"\n')
    extra.peers = peers
    yield extra
    extra.stop()


def with_files(issued):
    return ["--cert", issued.path, "--key", issued.key_path]


def test_expired_revoked_and_wrong_regions_are_refused_and_reloads_are_followed(regions, own):
    claim = ["-H", f"Domicile-Region: {PEER}"]
    good = own.peers.issue("good", regions=(PEER,))
    expired = own.peers.issue("expired", days=(-9, -1), regions=(PEER,))
    nowhere = own.peers.issue("nowhere", regions=("mars-north-1",))
    both = own.peers.issue("both", regions=(PEER, "mars-north-1"))
    nameless = own.peers.issue("nameless")
    assert feed(regions, own.url, *with_files(good), *claim) == (200, "")
    status, said = feed(regions, own.url, *with_files(expired), *claim)
    assert status == 0 and "expired" in said
    assert feed(regions, own.url, *with_files(nowhere), "-H", "Domicile-Region: mars-north-1") == (403, "peer_region_unknown")
    assert feed(regions, own.url, *with_files(nowhere), *claim) == (403, "peer_region_mismatch")
    assert feed(regions, own.url, *with_files(both), *claim) == (200, "")
    assert feed(regions, own.url, *with_files(nameless), *claim) == (403, "peer_region_mismatch")
    # By the authority that other nodes believe, which is not this one's.
    assert feed(regions, own.url, *shown(node(regions, PEER)), *claim)[0] == 0
    own.peers.revocations(good)
    own.process.send_signal(signal.SIGHUP)
    wait_until(lambda: feed(regions, own.url, *with_files(good), *claim)[0] == 0, 10, "the revoked certificate is refused")
    assert "revoked" in feed(regions, own.url, *with_files(good), *claim)[1]
    assert feed(regions, own.url, *with_files(both), *claim) == (200, "")
    text = domicile("--output", "json", "audit", "list", own.audit).stdout
    for reason in ("client_certificate_expired", "client_certificate_revoked", "client_certificate_untrusted", "peer_region_unknown"):
        wait_until(lambda: reason in domicile("--output", "json", "audit", "list", own.audit).stdout, 10, reason)
    assert "certificate.reload" in text or "certificate.reload" in domicile("--output", "json", "audit", "list", own.audit).stdout


def test_a_node_does_not_start_with_a_certificate_that_its_peers_would_refuse(regions, tmp_path):
    peers = Authority(tmp_path, "peers")
    for issued, complaint in ((peers.issue("other", regions=(PEER,)), f"must hold the URI urn:domicile:region:{MASTER}"),
                              (peers.issue("old", days=(-9, -1), regions=(MASTER,)), "has expired"),):
        original = (node(regions, MASTER) / "node.toml").read_text()
        text = re.sub(r'certificate = "peer.pem"\nkey = "peer.key"', f'certificate = "{issued.path}"\nkey = "{issued.key_path}"', original)
        assert text != original
        config = node(regions, MASTER) / "wrong.toml"
        config.write_text(text)
        config.chmod(0o600)
        refused = domicile("serve", "--config", config, "--check", check=False)
        assert refused.returncode != 0 and complaint in refused.stderr


def test_a_peer_follows_with_its_renewed_certificate_after_sighup(regions):
    """Last: changes the files of us-east-1's node, as renewing them does."""
    peer = node(regions, PEER)
    before = {name: (peer / f"peer.{name}").read_bytes() for name in ("pem", "key")}
    wrong = Authority(peer, "wrong").issue("replaced", regions=(PEER,))
    try:
        (peer / "peer.pem").write_bytes(wrong.path.read_bytes())
        (peer / "peer.key").write_bytes(wrong.key_path.read_bytes())
        (pid,) = [p for p in processes(peer / "node.toml") if alive(p)]
        subprocess.run(["kill", "-HUP", str(pid)], check=True)
        log = regions.data / "log" / f"{PEER}-node.log"
        wait_until(lambda: "unknown ca" in log.read_text() or "certificate" in log.read_text().rpartition("registry")[2], 20,
                   "the peer is refused with the replaced certificate")
    finally:
        for name, content in before.items():
            (peer / f"peer.{name}").write_bytes(content)
        subprocess.run(["kill", "-HUP", str(pid)], check=True)
    domicile("org", "create", "78", "--slug", "school-78", "--region", PEER, "--ca-file", regions.data / "ca.pem", "--peer-token-file",
             node(regions, MASTER) / "peer.token", "--registry-dsn-file", regions.region(MASTER)["dsn_files"]["registry"])


def processes(config) -> list[int]:
    found = []
    done = subprocess.run(["ps", "-eo", "pid,args"], text=True, capture_output=True, check=True)
    for line in done.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if f"serve --config {config}" in command:
            with contextlib.suppress(ValueError):
                found.append(int(pid))
    return found
