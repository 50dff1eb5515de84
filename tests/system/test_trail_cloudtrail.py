"""CloudTrail's log files as events: each record once, whatever is copied, cut off, changed or killed meanwhile."""

import gzip
import json
import os
import signal

import pytest

from support.extra_node import ExtraNode
from support.local_regions import wait_until
from support.log_index import run
from support.serving import one_school

REGION = "ca-central-1"


def record(number: int, name: str = "CopyDBSnapshot", **more) -> dict:
    return {"eventVersion": "1.10", "eventTime": "2026-11-30T09:43:53Z", "eventSource": "rds.amazonaws.com", "eventName": name,
            "awsRegion": "us-east-1", "sourceIPAddress": "203.0.113.7", "eventID": f"00000000-0000-0000-0000-{number:012}",
            "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": "arn:aws:iam::111122223333:user/ana"},
            "requestParameters": {"sourceDBSnapshotIdentifier": "arn:aws:rds:ca-central-1:111122223333:snapshot:learning",
                                  "targetDBSnapshotIdentifier": "copy"}, "readOnly": False, **more}


@pytest.fixture(scope="module")
def regions():
    local = one_school()
    yield local
    local.drop()


@pytest.fixture
def trail(tmp_path):
    return tmp_path


def start(regions, trail) -> ExtraNode:
    return ExtraNode(regions, REGION, more=f'\n[trails]\ncloudtrail = "{trail}"\n')


def put(trail, name: str, records: list[dict], whole: bool = True):
    path = trail / "AWSLogs" / "111122223333" / "CloudTrail" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(json.dumps({"Records": records}).encode())
    path.write_bytes(packed if whole else packed[:-9])
    return path


def events(node, kind="cloud_activity") -> list[dict]:
    return [json.loads(line) for line in run("--output", "json", "audit", "list", node.audit, "--kind", kind).stdout.splitlines()]


def told(node, operation) -> list[dict]:
    return [e for e in events(node, "log_changed") if e["unmapped"]["operation"] == operation]


def ids(node) -> list[str]:
    return [e["metadata"]["correlation_uid"] for e in events(node)]


def test_records_become_events_once(regions, trail):
    node = start(regions, trail)
    try:
        put(trail, "a.json.gz", [record(1), record(2, "StopLogging", eventSource="cloudtrail.amazonaws.com", errorCode="AccessDenied")])
        wait_until(lambda: len(events(node)) >= 2, 30, "two events")
        copy, stopped = events(node)[-2:]
        assert copy["api"]["operation"] == "CopyDBSnapshot" and copy["unmapped"]["details"]["other_regions"] == "ca-central-1"
        assert copy["unmapped"]["details"]["aws_region"] == "us-east-1" and copy["unmapped"]["outcome"] == "allowed"
        assert stopped["unmapped"]["outcome"] == "denied" and stopped["status_code"] == "AccessDenied"
        half = put(trail, "b.json.gz", [record(3)], whole=False)  # still being copied
        wait_until(lambda: told(node, "trail.unreadable"), 30, "a file that is cut off")
        put(trail, half.name, [record(3)])
        wait_until(lambda: "ct:00000000-0000-0000-0000-000000000003" in ids(node), 30, "whole at last")
        first = put(trail, "a.json.gz", [record(1)])
        os.utime(first, (1, 1))
        wait_until(lambda: told(node, "trail.changed"), 30, "a file that says something else now")
        (trail / "AWSLogs" / "note.json").write_text("[1, 2]")
        wait_until(lambda: len(told(node, "trail.unreadable")) >= 2, 30, "a file that is none")
        assert sorted(ids(node))[-3:] == [f"ct:00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3)]
    finally:
        node.stop()


def test_a_node_that_is_killed_takes_no_record_twice(regions, trail):
    count = 20_000
    put(trail, "big.json.gz", [record(1_000_000 + number) for number in range(count)])
    node = start(regions, trail)
    try:
        for part in (1, 8_000):
            wait_until(lambda: len(mine(node)) >= part, 60, "it is at work")
            node.process.send_signal(signal.SIGKILL)
            node.process.wait(20)
            node.stop()
            node = start(regions, trail)
        wait_until(lambda: len(mine(node)) >= count, 90, "every record")
        put(trail, "later.json.gz", [record(9_000_000)])
        wait_until(lambda: "ct:00000000-0000-0000-0000-000009000000" in ids(node), 30, "the next file")
        assert len(mine(node)) == len(set(mine(node))) == count
    finally:
        node.stop()


def mine(node) -> list[str]:
    return [i for i in ids(node) if i.startswith("ct:00000000-0000-0000-0000-00000100") or i.startswith("ct:00000000-0000-0000-0000-00000101")]
