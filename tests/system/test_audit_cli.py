"""`domicile audit` on an event folder: what is there is listed as it is, and what is not whole is said, with an exit code."""

import json
import shutil
import subprocess

import pytest

from support.domicile import binary
from support import ocsf_schema


def domicile(*arguments, code=0):
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def dsn_file(folder, name="nobody.dsn"):
    path = folder / name
    path.write_text("host=127.0.0.1 port=1 dbname=none user=nobody")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Findings of two checks of a database that is not there: events made by the real program."""
    folder = tmp_path_factory.mktemp("events")
    for _ in range(2):
        domicile("-q", "check", "--region", "ca-central-1", "--dsn-file", dsn_file(folder), "--event-directory", folder / "log", code=3)
    return folder / "log"


@pytest.fixture
def log(made, tmp_path):
    return shutil.copytree(made, tmp_path / "log")


def lines(log):
    return [line for path in sorted(log.glob("events-*.jsonl")) for line in path.read_text().splitlines()]


def test_the_file_is_plain_ocsf_json_lines_that_go_on_counting(log):
    events = [json.loads(line) for line in lines(log)]
    assert [e["metadata"]["sequence"] for e in events] == list(range(1, len(events) + 1))
    assert len(events) > 100 and {e["class_uid"] for e in events} == {2003}
    if (folder := ocsf_schema.vectors()) is None:
        pytest.skip("no OCSF schemas; they are published at https://schema.ocsf.io/1.8.0")
    schemas = ocsf_schema.Schemas(folder)
    assert not [p for e in events[:60] for p in schemas.problems(e)]


def test_list_filters_and_prints_the_lines_themselves(log):
    everything = domicile("--output", "json", "audit", "list", log).stdout.splitlines()
    assert everything == lines(log)
    assert len(domicile("--output", "json", "audit", "list", log, "--limit", 3).stdout.splitlines()) == 3
    assert domicile("--output", "json", "audit", "list", log, "--outcome", "allowed").stdout == ""
    assert domicile("--output", "json", "audit", "list", log, "--kind", "sign_in").stdout == ""
    assert len(domicile("--output", "json", "audit", "list", log, "--kind", "finding", "--outcome", "failed").stdout.splitlines()) == len(everything)
    assert domicile("--output", "json", "audit", "list", log, "--to", "2020-01-01").stdout == ""
    assert len(domicile("--output", "json", "audit", "list", log, "--from", "2020-01-01T00:00:00Z").stdout.splitlines()) == len(everything)
    assert "DOM-CAT-001" in domicile("audit", "list", log).stdout


def test_show_prints_one_record(log):
    assert domicile("--output", "json", "audit", "show", log, 5).stdout.strip() == lines(log)[4]
    assert json.loads(domicile("audit", "show", log, 5).stdout)["metadata"]["sequence"] == 5
    assert "holds no record 999999" in domicile("audit", "show", log, 999999, code=1).stderr


def test_export_writes_a_new_file_once(log, tmp_path):
    out = tmp_path / "out.jsonl"
    domicile("audit", "export", log, "--to-file", out)
    assert out.read_text().splitlines() == lines(log)
    assert "exists" in domicile("audit", "export", log, "--to-file", out, code=2).stderr


def test_verify_finds_every_kind_of_damage(log):
    path = sorted(log.glob("events-*.jsonl"))[0]
    whole = path.read_bytes()
    rows = whole.splitlines(keepends=True)
    assert json.loads(domicile("--output", "json", "audit", "verify", log).stdout)["whole"] is True
    damage = {
        "flipped": whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:],
        "dropped": b"".join(rows[:5] + rows[6:]),
        "doubled": b"".join(rows[:5] + rows[4:]),
        "swapped": b"".join(rows[:5] + [rows[6], rows[5]] + rows[7:]),
        "foreign": b"".join(rows[:5] + [b'{"a":1}\n'] + rows[5:]),
        "first": b"".join(rows[1:]),
    }
    for kind, content in damage.items():
        path.write_bytes(content)
        assert "NOT whole" in domicile("audit", "verify", log, code=1).stdout, kind
        refused = domicile("-q", "check", "--region", "ca-central-1", "--dsn-file", dsn_file(log.parent), "--event-directory", log, code=4)
        assert "keep the folder as evidence" in refused.stderr.lower(), kind
        assert path.read_bytes() == content, f"{kind}: evidence was touched"


def test_a_torn_last_write_is_kept_beside_and_reported(log):
    path = sorted(log.glob("events-*.jsonl"))[0]
    count = len(lines(log))
    torn = lines(log)[0][:400].encode()
    path.write_bytes(path.read_bytes() + torn)
    report = json.loads(domicile("--output", "json", "audit", "verify", log).stdout)
    assert report["whole"] is True and report["unfinished_bytes"] == len(torn)
    domicile("-q", "check", "--region", "ca-central-1", "--dsn-file", dsn_file(log.parent), "--event-directory", log, code=3)
    after = [json.loads(line) for line in lines(log)]
    assert after[count]["unmapped"]["operation"] == "log.recovered"
    assert (log / after[count]["unmapped"]["details"]["kept_in"]).read_bytes() == torn
    domicile("audit", "verify", log)


def test_bad_input_is_told_with_exit_code_2(log):
    assert "is not a time" in domicile("audit", "list", log, "--from", "yesterday", code=2).stderr
    assert "is not a time" in domicile("audit", "list", log, "--to", "2026-13-01", code=2).stderr
    domicile("audit", "list", log, "--kind", "rumour", code=2)
    assert "absent" in domicile("audit", "list", log.parent / "absent", code=1).stderr
