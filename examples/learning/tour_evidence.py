"""The tour's last chapter: what the regions' logs say about it, and that nobody can make them say anything else."""

import base64
import collections
import contextlib
import hashlib
import hmac
import http.server
import json
import pathlib
import shutil
import tempfile
import threading

from tour_support import CANADA, US, Tour, wait_until


def node_folder(regions, region: str) -> pathlib.Path:
    return regions.data / "regions" / region / "node"


def events_of(regions, region: str) -> list[dict]:
    done = regions.domicile.run("--output", "json", "audit", "list", regions.by_id[region]["audit"])
    return [json.loads(line) for line in done.stdout.splitlines()]


def evidence(tour: Tour, regions, token: str):
    tour.chapter("Evidence", "every decision is an event in its region's own log, which others can verify")
    for region in (CANADA, US):
        kinds = collections.Counter(f"{e['metadata']['event_code']} {e['unmapped']['outcome']}" for e in events_of(regions, region))
        tour.say(f"{region}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for line in regions.domicile.run("audit", "tail", regions.by_id[CANADA]["audit"], "--last", "3").stdout.splitlines():
        tour.say(line.rstrip())
    persons(tour, regions)
    alerted(tour, regions, token)
    verified(tour, regions)
    tampered(tour, regions)
    proved(tour, regions)


def persons(tour: Tour, regions):
    text = "".join(json.dumps(e) for e in events_of(regions, US))
    tour.expect("in the US log, zoe's wrong-region attempt names no person", "organization only",
                "organization only" if "wrong_region" in text and "zoe" not in text else "a person, or nothing")
    sealed = json.dumps(events_of(regions, CANADA))
    opened = regions.domicile.run("--output", "json", "audit", "list", "--config", node_folder(regions, CANADA) / "node.toml", "--open").stdout
    people = {e.get("actor", {}).get("user", {}).get("uid") for e in map(json.loads, opened.splitlines())} - {None}
    tour.expect("in the Canadian log, persons are commitments; the node's keys open them", "sealed, and opened",
                "sealed, and opened" if people and not any(f'"{p}"' in sealed for p in people) else f"{len(people)} persons, not all of them sealed")


class Receiver:
    """The webhook of examples/learning/regions.toml. Believes what is signed (standardwebhooks.com) by a node's secret."""

    ADDRESS = ("127.0.0.1", 8690)

    def __init__(self, regions):
        self.alerts: list[dict] = []
        secrets = [base64.b64decode((node_folder(regions, region) / "webhook.secret").read_text().strip().removeprefix("whsec_"))
                   for region in (CANADA, US)]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
                signed = any("v1," + base64.b64encode(hmac.new(s, text, hashlib.sha256).digest()).decode() in
                             self.headers.get("webhook-signature", "").split() for s in secrets)
                if signed:
                    outer.alerts.append(json.loads(body))
                self.send_response(200 if signed else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(self.ADDRESS, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def alerted(tour: Tour, regions, token: str):
    """One person keeps asking the wrong region for their organization."""
    with Receiver(regions) as receiver:
        url = f"{regions.url(CANADA)}/api/orgs/201/courses"
        refusals = [regions.http.send("GET", url, token=token).status for _ in range(12)]
        tour.expect("sam asks Canada twelve times for what is at home in the US", "421 each time",
                    "421 each time" if set(refusals) == {421} else str(refusals))

        def reached():
            return [a for a in list(receiver.alerts) if "cross_region_denials_of_actor" in json.dumps(a)]
        with contextlib.suppress(SystemExit):
            wait_until(reached, 30, "the alert reaches its receiver")
        tour.expect("an alert reaches its receiver, signed, and names no person", "one alert, no person",
                    "one alert, no person" if reached() and "sam" not in json.dumps(receiver.alerts) else f"{len(receiver.alerts)} other alerts")
        for alert in reached()[:1]:
            tour.say(json.dumps(alert)[:400])


def verify(regions, log, region: str):
    return regions.domicile.run("audit", "verify", log, "--policy", node_folder(regions, region) / "witnesses.policy")


def verified(tour: Tour, regions):
    for region in (CANADA, US):
        log = regions.by_id[region]["audit"]
        # The other region's witness answers within a moment of each checkpoint.
        done = wait_until(lambda log=log, region=region: (d := verify(regions, log, region)).returncode == 0 and d, 20,
                          f"the log of {region} is verified")
        tour.expect(f"the log of {region}, every byte against the root that the other region cosigned", "exit 0", f"exit {done.returncode}")
        tour.say(done.stdout.splitlines()[0])


def tampered(tour: Tour, regions):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "log"
        shutil.copytree(regions.by_id[CANADA]["audit"], copy)
        bundle = max((copy / "tile" / "entries").rglob("*"), key=lambda p: (p.is_file(), p.stat().st_mtime))
        content = bytearray(bundle.read_bytes())
        content[len(content) // 2] ^= 1
        bundle.write_bytes(content)
        done = verify(regions, copy, CANADA)
        tour.expect("one bit of a copy flipped", "exit 1", f"exit {done.returncode}")
        tour.say(next((line for line in (done.stdout + done.stderr).splitlines() if "changed" in line), done.stderr.strip()))


def proved(tour: Tour, regions):
    with tempfile.TemporaryDirectory() as folder:
        proof, policy = pathlib.Path(folder) / "event.proof", node_folder(regions, CANADA) / "witnesses.policy"
        made = regions.domicile.run("audit", "prove", regions.by_id[CANADA]["audit"], "0", "--policy", policy, "--to-file", proof)
        held = made.returncode == 0
        if held:
            held = regions.domicile.run("audit", "verify-proof", proof, f"{proof}.entry", "--policy", policy).returncode == 0
        tour.expect("a proof of one event, for somebody who has nothing else", "it holds", "it holds" if held else made.stdout + made.stderr)
