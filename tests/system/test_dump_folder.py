"""A dump's folder: a full disk, a limit on files, two writers, and a dump that was altered, before or during its
restore. Nothing half is left, nothing of a wrong dump gets in."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import subprocess

import pytest
from support.domicile import binary, domicile
from support.dumped import another_server, dsn, fill
from support.interrupt import Point, Relay
from support.region import Region


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    one.home("7")
    one.home("8")
    fill(one)
    with one.connect() as c:  # 20 MB, over the disk below and the limit below
        c.execute("INSERT INTO app.event SELECT 7, '2026-06-06', repeat(md5(i::text), 64) FROM generate_series(1, 10000) i")
    yield one
    one.drop()


@pytest.fixture(scope="module")
def dump(region, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump") / "today"
    domicile("-q", "dump", folder, "--dsn", region.dsn())
    return folder


@pytest.fixture(scope="module")
def target():
    cluster = another_server()
    cluster.create_database("app", owner="installer")
    yield cluster
    cluster.drop()


@contextlib.contextmanager
def small_disk(folder, size: str):
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_dump_at_once_and_leaves_nothing(region, tmp_path):
    before = region.shape()
    with small_disk(tmp_path / "disk", "4m") as disk:
        done = domicile("-q", "dump", disk / "today", "--dsn", region.dsn(), check=False)
        assert done.returncode == 3
        assert f"cannot write {disk}/today/data/app.event.copy: No space left on device; make room there or name another folder" in done.stderr
        assert list(disk.iterdir()) == []
    assert region.shape() == before
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'domicile'").fetchone()[0] == 0


@pytest.mark.parametrize("size", ["0", "8k"])
def test_a_disk_that_is_full_from_the_beginning_is_named(region, tmp_path, size):
    with small_disk(tmp_path / "disk", "16k" if size == "0" else "32k") as disk:
        if size == "0":
            with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as f:
                while f.write(b"x" * 4096):
                    pass
        done = domicile("-q", "dump", disk / "today", "--dsn", region.dsn(), check=False)
        assert done.returncode == 3 and str(disk) in done.stderr and "No space left on device" in done.stderr and "make room" in done.stderr
        assert not (disk / "today").exists()


def test_a_limit_on_files_is_an_error_and_no_death(region, tmp_path):
    done = subprocess.run([binary(), "-q", "dump", tmp_path / "out", "--dsn", region.dsn()], text=True, capture_output=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20)))
    assert done.returncode == 3 and "app.event.copy: File too large" in done.stderr and not (tmp_path / "out").exists()


def test_two_dumps_do_not_write_into_one_folder(region, tmp_path):
    """The second one begins while the first one reads its last table."""
    plain = Relay(region.cluster)
    through = lambda relay: f"host=127.0.0.1 port={relay.port} dbname=app user=installer password=secret sslmode=disable gssencmode=disable"
    assert plain.run("-q", "dump", tmp_path / "whole", "--dsn", through(plain)).returncode == 0
    second = []
    relay = Relay(region.cluster, Point(len(plain.steps) - 3, "question", "program"),
                  lambda: second.append(domicile("-q", "dump", tmp_path / "out", "--dsn", region.dsn(), check=False)))
    relay.run("-q", "dump", tmp_path / "out", "--dsn", through(relay))
    assert second[0].returncode == 1 and "another run of domicile dump writes into" in second[0].stderr
    # It is dead now, and what it left behind stands in nobody's way.
    done = domicile("dump", tmp_path / "out", "--dsn", region.dsn())
    assert "begun anew" in done.stderr
    assert domicile("restore", "--verify", tmp_path / "out", "--dsn", region.dsn()).returncode == 0


def test_a_folder_with_other_things_is_left_alone(region, tmp_path):
    (tmp_path / "manifest.json.tmp").write_text("mine")
    done = domicile("-q", "dump", tmp_path, "--dsn", region.dsn(), check=False)
    assert done.returncode == 2 and "not empty" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json.tmp"]


# -- altered


def untouched(target) -> bool:
    with target.connect("app") as c:
        return c.execute("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('app')").fetchone()[0] == 0


def rewrite(change):
    def apply(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return apply


def table(manifest, name):
    return next(t for t in manifest["tables"] if t["name"] == name)


def edit(name, change):
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


def forge(folder):
    """Rows and manifest changed together: only the hash that was kept elsewhere tells."""
    edit("data/app.country.copy", lambda t: t.replace("Canada", "Cascadia"))(folder)
    rewrite(lambda m: table(m, "country").update(sha256=hashlib.sha256((folder / "data/app.country.copy").read_bytes()).hexdigest()))(folder)


ALTERED = {
    "the end is missing": (edit("data/app.event.copy", lambda t: t[: len(t) // 2]), "cut short"),
    "a row is changed": (edit("data/app.course.copy", lambda t: t.replace("title 3", "title 4", 1)), "not as the manifest says"),
    "a row is gone": (edit("data/app.course.copy", lambda t: t.split("\n", 1)[1]), "not as the manifest says"),
    "a file is missing": (lambda folder: (folder / "data/app.answer.copy").unlink(), "is not there: the dump is not whole"),
    "a file is empty": (edit("post-data.sql", lambda t: ""), "post-data.sql is not as the manifest says"),
    "the schema is changed": (edit("pre-data.sql", lambda t: t + "CREATE TABLE app.more (a int);\n"), "pre-data.sql is not as the manifest says"),
    "the manifest is missing": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: No such file"),
    "the manifest is cut": (edit("manifest.json", lambda t: t[: len(t) // 2]), "manifest.json: it cannot be read"),
    "a count is changed": (rewrite(lambda m: table(m, "course").update(rows=14)), "the manifest says 14"),
    "an organization is left out": (rewrite(lambda m: table(m, "course").update(organizations={"7": 15})), "counts differ"),
    "another file is named": (rewrite(lambda m: table(m, "course").update(file="../../../etc/passwd")), "names the file"),
    "a table of the guard is named": (rewrite(lambda m: table(m, "former").update(name="region", file="data/domicile.region.copy")), "no dump holds"),
    "a name has a zero byte": (rewrite(lambda m: table(m, "version")["columns"].append("n\0")), "zero byte"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_an_altered_dump_is_refused_whole(dump, target, tmp_path, case):
    change, words = ALTERED[case]
    shutil.copytree(dump, tmp_path / "copy")
    change(tmp_path / "copy")
    done = domicile("-q", "restore", tmp_path / "copy", "--dsn", dsn(target), check=False)
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr
    assert untouched(target)


def test_the_hash_that_was_kept_elsewhere_finds_a_forged_manifest(dump, target, tmp_path):
    kept = hashlib.sha256((dump / "manifest.json").read_bytes()).hexdigest()
    shutil.copytree(dump, tmp_path / "copy")
    forge(tmp_path / "copy")
    done = domicile("-q", "restore", tmp_path / "copy", "--manifest-sha256", kept, "--dsn", dsn(target), check=False)
    assert done.returncode == 1 and "another dump's, or was changed" in done.stderr and untouched(target)


@pytest.mark.parametrize("name, when", [("data/app.event.copy", 'COPY "app"."event"'), ("post-data.sql", 'COPY "app"."version"')])
def test_a_file_that_changes_during_the_restore_is_found(dump, target, tmp_path, name, when):
    """After its hash was looked at, before it is read for the database."""
    shutil.copytree(dump, tmp_path / "copy")
    through = lambda relay: f"host=127.0.0.1 port={relay.port} dbname=app user=installer password=secret sslmode=disable gssencmode=disable"

    class Alter(Relay):
        def _is_the_point(self, kind, message):
            super()._is_the_point(kind, message)
            if self.steps[-1].startswith(when):
                edit(name, lambda text: text.replace("2026", "2027") + " ")(tmp_path / "copy")
            return False

    relay = Alter(target)
    done = relay.run("-q", "restore", tmp_path / "copy", "--dsn", through(relay))
    assert done.returncode == 1 and name.split("/")[-1] in done.stderr and "nothing of the dump is in the database" in done.stderr, done.stderr
    assert untouched(target)
