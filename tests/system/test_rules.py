"""The rules of the detections: what users may write, why a rule matches, that each built-in one has a producer in the
program, and that another Sigma implementation reads and decides them alike."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from support.domicile import ROOT, binary, domicile_json
from support.packages import python_packages

RULES = ROOT / "rules"


def run(*arguments, code=0):
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


RULE = """title: Somebody exported courses
id: 11111111-2222-4333-8444-555555555555
name: exported
level: medium
logsource: {product: domicile, service: audit}
detection:
  export: {metadata.event_code: finding, compliance.control|startswith: DOM-CAT}
  other: {compliance.status: Pass}
  condition: export and not other
"""


def test_a_folder_of_rules_is_read_as_a_node_would(tmp_path):
    (tmp_path / "own.yml").write_text(RULE)
    said = run("rule", "check", tmp_path).stdout
    assert "1 rules in 1 files are valid" in said and "has no probe" in said
    assert "exported" in run("rule", "list", "--rules", tmp_path).stdout
    assert RULE.strip() in run("rule", "show", "exported", "--rules", tmp_path).stdout
    (tmp_path / "two.yml").write_text(RULE)
    (tmp_path / "three.yml").write_text(RULE.replace("startswith", "base64offset"))
    refused = run("rule", "check", tmp_path, code=2).stderr
    assert 'three.yml: line 7: the modifier "base64offset" is not supported' in refused
    (tmp_path / "three.yml").unlink()
    assert 'another rule bears "11111111-2222-4333-8444-555555555555"' in run("rule", "check", tmp_path, code=2).stderr


def test_a_rule_explains_itself_on_a_record(tmp_path):
    (tmp_path / "own.yml").write_text(RULE)
    dsn = tmp_path / "nobody.dsn"
    dsn.write_text("host=127.0.0.1 port=1 dbname=none user=nobody")
    dsn.chmod(0o600)
    run("-q", "check", "--region", "ca-central-1", "--dsn-file", dsn, "--event-directory", tmp_path / "log", code=3)
    events = domicile_json_lines(tmp_path / "log")
    yes = next(e for e in events if e["compliance"]["control"] == "DOM-CAT-001")["metadata"]["sequence"]
    no = next(e for e in events if e["compliance"]["control"] == "DOM-GRD-001")["metadata"]["sequence"]
    said = run("rule", "explain", "exported", yes, tmp_path / "log", "--rules", tmp_path).stdout
    assert f"matches record {yes}" in said and 'the record has ["DOM-CAT-001"]' in said
    assert f"does not match record {no}" in run("rule", "explain", "exported", no, tmp_path / "log", "--rules", tmp_path, code=1).stdout


def domicile_json_lines(log: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in run("--output", "json", "audit", "list", log).stdout.splitlines()]


def test_every_built_in_rule_has_a_producer():
    """A probe could claim anything: what it names must be written by the program itself, outside of rules and tests."""
    import yaml
    sources = "".join(p.read_text() for p in [*ROOT.glob("src/*/*.cpp"), *ROOT.glob("src/*/*.h"), *ROOT.glob("sql/*/*.sql")]
                      if not p.name.endswith("_test.cpp") and "detect" not in p.parts[-2:-1])
    spoken_elsewhere = {"cloud_activity", "schema_changed", "sql_statement"}  # the provider's and the server's own words
    joined = {"region.off": ("'region.' || CASE", "'off'")}  # operations that are put together, and of what
    missing = []
    for path in sorted(RULES.glob("*.yml")):
        for document in yaml.safe_load_all(path.read_text()):
            for event in document.get("probe", []):
                words = [event.get("operation"), event.get("reason")]
                for word in (w for w in words if w and event["kind"] not in spoken_elsewhere):
                    parts = joined.get(word, (f'"{word}"', ))
                    if word == "probe" or all(part in sources for part in parts) or f"'{word}'" in sources:
                        continue
                    missing.append((path.name, word))
                assert f"EventKind::{event['kind']}" in sources, (path.name, event["kind"])
    assert not missing


# Selections over the fields of findings, which another implementation decides as well.
SELECTIONS = [
    "compliance.control: dom-grd-001",
    "compliance.control: [DOM-GRD-001, 'DOM-CAT-00?']",
    "compliance.control: 'DOM-*-001'",
    "compliance.control|startswith: [DOM-GRD, dom-set]",
    "compliance.control|endswith: '3'",
    "compliance.control|contains: -R",
    "compliance.control|contains|all: [DOM-R, '-001']",
    "compliance.control|re: '^DOM-(GRD|RLS)-00[1-3]$'",
    "severity_id|gte: 3",
    "severity_id|lt: 3",
    "class_uid: 2003",
    "class_uid: [2004, 6003]",
    "compliance.status_code: not_run",
]
CONDITIONS = ["s", "not s", "s and t", "s or t", "not (s and t)", "1 of them", "all of them", "s and not t"]


def rule_text(selection: str, condition: str) -> str:
    second = "" if condition in ("s", "not s") else "  t:\n    compliance.control|startswith: DOM-R\n"
    return f"""title: T
id: 11111111-2222-4333-8444-555555555555
name: t
status: test
level: high
logsource: {{product: domicile, service: audit}}
detection:
  s:
    {selection}
{second}  condition: {condition}
"""


def flat(event: dict, prefix: str = "") -> dict:
    out = {}
    for key, value in event.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def test_another_implementation_decides_alike(tmp_path):
    peer = python_packages("azuma==0.7.3")
    dsn = tmp_path / "nobody.dsn"
    dsn.write_text("host=127.0.0.1 port=1 dbname=none user=nobody")
    dsn.chmod(0o600)
    run("-q", "check", "--region", "ca-central-1", "--dsn-file", dsn, "--event-directory", tmp_path / "log", code=3)
    events = [flat(e) for e in domicile_json_lines(tmp_path / "log")]
    assert len(events) > 50
    rules = [rule_text(SELECTIONS[i], condition) for i in range(len(SELECTIONS)) for condition in (CONDITIONS if i == 0 else CONDITIONS[:1])]
    (tmp_path / "input.json").write_text(json.dumps({"rules": rules, "events": events}))
    done = subprocess.run([sys.executable, "-c", """
import json, sys
from azuma import Rule
given = json.load(open(sys.argv[1]))
print(json.dumps([[e["metadata.sequence"] for e in given["events"] if Rule.model_validate_yaml(text).match(e)] for text in given["rules"]]))
""", str(tmp_path / "input.json")], text=True, capture_output=True, env={"PYTHONPATH": str(peer), "PATH": "/usr/bin"})
    assert done.returncode == 0, done.stderr
    theirs, differing = json.loads(done.stdout), []
    for text, wanted in zip(rules, theirs):
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        (folder / "t.yml").write_text(text)
        ours = [json.loads(line)["last_sequence"] for line in
                run("--output", "json", "rule", "run", tmp_path / "log", "--rules", folder, "--rule", "t").stdout.splitlines()]
        if ours != wanted:
            differing.append((text, len(ours), len(wanted)))
    assert not differing
    assert any(theirs) and not all(len(found) == len(events) for found in theirs)


def test_pysigma_reads_every_built_in_rule():
    folder = python_packages("pysigma==2.0.1")
    done = subprocess.run([sys.executable, "-c", """
import pathlib, sys
from sigma.collection import SigmaCollection
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yml")):
    rules = SigmaCollection.from_yaml(path.read_text())
    assert len(rules.rules) and not rules.errors, path
    rules.resolve_rule_references()
    print(path.name, len(rules.rules))
""", str(RULES)], text=True, capture_output=True, env={"PYTHONPATH": str(folder), "PATH": "/usr/bin"})
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(list(RULES.glob("*.yml")))
