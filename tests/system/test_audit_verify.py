"""`domicile audit verify`, `prove` and `verify-proof` on a log that the real program wrote; and programs of other people
on the same log: what we sign and lay out is what they accept, and what was changed they refuse as well."""

import base64
import json
import pathlib
import random
import shutil
import subprocess

import pytest

from support.domicile import binary
from support.go_programs import go_program, go_tool

PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"


def domicile(*arguments, code=0):
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def verify(log, *arguments, code=0) -> dict:
    return json.loads(domicile("--output", "json", "audit", "verify", log, *arguments, code=code).stdout)


def grow(folder):
    """Events made by the real program: a check of a database that is not there."""
    nobody = folder.parent / "nobody.dsn"
    nobody.write_text("host=127.0.0.1 port=1 dbname=none user=nobody")
    nobody.chmod(0o600)
    domicile("-q", "check", "--region", "ca-central-1", "--dsn-file", nobody, "--event-directory", folder, code=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "log"
    for _ in range(6):  # more than one full bundle
        grow(folder)
        shutil.copy(folder / "checkpoint", folder.parent / f"checkpoint-{(folder / 'checkpoint').read_text().split()[1]}")
    return folder


@pytest.fixture
def log(made, tmp_path):
    return shutil.copytree(made, tmp_path / "log")


def key_of(log) -> str:
    return (log / "verifier-keys").read_text().strip()


def published(log) -> list[pathlib.Path]:
    return [*sorted(p for p in (log / "tile").rglob("*") if p.is_file()), log / "checkpoint"]


def test_a_log_is_whole_under_its_key(log):
    report = verify(log, "--key", key_of(log))
    size = report["checkpoint"]["size"]
    assert report["whole"] and report["checkpoint"]["signature"] == "given_keys" and report["event_records"]
    assert report["records"] == size == report["last_sequence"] > 256
    assert "as it was signed" in domicile("audit", "verify", log, "--key", key_of(log)).stdout
    assert verify(log)["checkpoint"]["signature"] == "own_keys"


def test_a_flipped_byte_in_any_file_is_found_and_the_file_named(log):
    chance = random.Random(1)
    for path in [*published(log), *log.glob("events-*.jsonl")]:
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(12))}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
            problems = verify(log, "--key", key_of(log), code=1)["problems"]
            assert any(str(path.relative_to(log)) in p for p in problems), (path, at, problems)
        path.write_bytes(whole)
    assert verify(log, "--key", key_of(log))["whole"]


def test_the_log_must_continue_a_checkpoint_that_was_kept(log, made):
    kept = sorted(made.parent.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    assert verify(log, "--key", key_of(log), "--since", kept[0])["since"]["size"] > 0
    shutil.copy(kept[0], log / "checkpoint")  # cut back to an older state, validly signed
    cut = verify(log, "--key", key_of(log), "--since", kept[-1], code=1)
    assert "the log was cut" in cut["problems"][0]


def test_another_key_and_no_key_are_refused(log, made, tmp_path):
    grow(tmp_path / "other" / "log") if (tmp_path / "other").mkdir() is None else None
    other = key_of(tmp_path / "other" / "log")
    assert "no signature is by a known key" in verify(log, "--key", other, code=1)["problems"][0]
    assert "not a verifier key" in domicile("audit", "verify", log, "--key", "nonsense", code=2).stderr
    assert "is to be believed" in domicile("audit", "prove", log, 1, code=2).stderr


def test_a_proof_convinces_somebody_who_has_the_key_alone(log, tmp_path):
    size = verify(log)["checkpoint"]["size"]
    (tmp_path / "key").write_text(key_of(log) + "\n")
    for index in (0, 255, 256, size - 1):
        proof = tmp_path / f"{index}.tlog-proof"
        domicile("audit", "prove", log, index, "--key-file", tmp_path / "key", "--to-file", proof)
        entry = proof.with_name(proof.name + ".entry")
        assert json.loads(entry.read_text())["metadata"]["sequence"] == index + 1
        assert proof.read_text().startswith(f"c2sp.org/tlog-proof@v1\nindex {index}\n")
        report = json.loads(domicile("--output", "json", "audit", "verify-proof", proof, entry, "--key-file", tmp_path / "key").stdout)
        assert report["verified"] and report["index"] == index
        entry.write_text(entry.read_text().replace('"sequence":', '"sequence": '))
        assert "does not lead from this entry" in domicile("audit", "verify-proof", proof, entry, "--key-file", tmp_path / "key", code=1).stderr
    assert "there is no entry" in domicile("audit", "prove", log, size, "--key", key_of(log), code=1).stderr
    path = log / "tile/0/000"
    path.write_bytes(bytes(8192))
    assert "contradict its checkpoint" in domicile("audit", "prove", log, 3, "--key", key_of(log), code=1).stderr


def test_openssl_accepts_the_signature(log, tmp_path):
    text, signatures = (log / "checkpoint").read_text().split("\n\n")
    public = base64.b64decode(key_of(log).split("+", 2)[2])[1:]
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + public)
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signatures.split()[2])[4:])

    def accepts():
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "key.der", "-rawin",
                               "-in", tmp_path / "text", "-sigfile", tmp_path / "signature"], capture_output=True).returncode == 0
    assert accepts()
    (tmp_path / "text").write_text(text + "\n\n")
    assert not accepts()


def test_gos_sumdb_note_accepts_the_checkpoint_and_refuses_a_changed_one(log):
    program = go_program(PEERS / "note.go", "golang.org/x/mod@v0.14.0")
    note = (log / "checkpoint").read_bytes()

    def opened(content):
        return subprocess.run([program, key_of(log)], input=content, capture_output=True, timeout=60)
    assert opened(note).stdout == note.split(b"\n\n")[0] + b"\n"
    end = note.rindex(b"\n\n")
    for at in range(0, end, 7):
        assert opened(note[:at] + bytes([note[at] ^ 1]) + note[at + 1:]).returncode == 1, at
    assert opened(note[:-6] + b"AAA=\n").returncode == 1


def test_tesseras_fsck_accepts_the_log_and_refuses_what_was_changed(log, tmp_path):
    fsck = go_tool("github.com/transparency-dev/tessera/cmd/fsck", "v1.0.4")

    def accepts():  # what it found is in its words, not in its exit code; on some faults it hangs
        try:
            done = subprocess.run([fsck, "-N", "4", "--ui=false", f"--storage_url=file://{log}/", f"--public_key={log / 'verifier-keys'}"],
                                  capture_output=True, timeout=20)
        except subprocess.TimeoutExpired:
            return False
        return b"Successfully fsck'd" in done.stderr
    assert accepts()
    size = verify(log)["checkpoint"]["size"]
    widths = {f"{size % 256}", f"{size // 256 % 256}"}  # it leaves out the partial tiles of older checkpoints
    for path in published(log):
        if path.parent.name.endswith(".p") and path.name not in widths:
            continue
        whole = path.read_bytes()
        path.write_bytes(whole[:70] + bytes([whole[70] ^ 1]) + whole[71:] if len(whole) > 70 else bytes([whole[0] ^ 1]) + whole[1:])
        assert not accepts(), path
        path.write_bytes(whole)
    assert accepts()
