"""The registry from the command line, on a real PostgreSQL."""

import json
import threading

import psycopg
import pytest
from support.domicile import domicile
from support.registry import Registry


@pytest.fixture(scope="module")
def registry(cluster):
    made = Registry(cluster)
    made.init()
    return made


def refused(done, code, *words):
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    return done


def test_init_is_idempotent_and_dry_run_says_so(registry):
    assert "nothing to do" in registry.init().stdout
    assert "nothing to do" in registry.init("--dry-run").stdout


def test_dry_run_on_an_empty_database_changes_nothing(cluster, registry):
    cluster.create_database("untouched", owner="registrar")
    file = registry.secret("untouched.dsn", cluster.dsn("untouched", "registrar", "registrar"))
    done = domicile("registry", "init", "--registry-dsn-file", file, "--file", registry.regions_file, "--dry-run")
    assert "would: add region ca-central-1" in done.stdout
    with cluster.connect("untouched") as c:
        assert c.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'domicile%'").fetchone()[0] == 0


def test_bad_files_are_refused_with_line_and_remedy(registry):
    bad = registry.folder / "bad.toml"
    bad.write_text('[[jurisdiction]]\nid = "CA"\nlocations = ["ca-central-1"]\n[[region]]\nid = "us-east-1"\n'
                   'jurisdiction = "CA"\nurl = "ftp://x"\nmastre = true\n')
    done = domicile("registry", "init", "--registry-dsn-file", registry.installer, "--file", bad, check=False)
    refused(done, 2, "bad.toml:8: unknown key 'mastre'", "bad.toml:7: a region's url")


def test_create_show_list_and_regions(registry):
    made = registry.org_json("create", "7", "--slug", "seven", "--region", "ca-central-1", "--no-wait")
    assert (made["epoch"], made["state"], made["replayed"]) == (1, "active", False)
    assert registry.org_json("show", "7")["slug"] == "seven"
    assert registry.org_json("show", "--slug", "seven")["key"] == "7"
    keys = [o["key"] for o in registry.org_json("list", "--region", "ca-central-1")["organizations"]]
    assert "7" in keys
    regions = json.loads(domicile("--output", "json", "region", "list", "--registry-dsn-file", registry.dsn_file).stdout)
    ca = next(r for r in regions["regions"] if r["id"] == "ca-central-1")
    assert ca["master"] and ca["locations"] == ["ca-central-1", "ca-west-1"] and ca["organizations"]["active"] >= 1


def test_epochs_compare_and_set(registry):
    registry.org("create", "20", "--slug", "twenty", "--region", "us-east-1", "--no-wait")
    assert registry.org_json("suspend", "20", "--expected-epoch", "1", "--no-wait")["epoch"] == 2
    refused(registry.org("resume", "20", "--expected-epoch", "1", "--no-wait", check=False), 1, "is at epoch 2, not 1")
    assert registry.org_json("resume", "20", "--no-wait")["state"] == "active"


def test_closed_is_final_and_key_and_slug_stay_taken(registry):
    registry.org("create", "30", "--slug", "thirty", "--region", "us-east-1", "--no-wait")
    refused(registry.org("close", "30", "--no-wait", check=False), 2, "--yes")
    registry.org("close", "30", "--yes", "--no-wait")
    refused(registry.org("resume", "30", "--no-wait", check=False), 1, "Closed is final")
    refused(registry.org("create", "30", "--slug", "other", "--region", "us-east-1", "--no-wait", check=False), 1, "never given out again")
    refused(registry.org("create", "31", "--slug", "thirty", "--region", "us-east-1", "--no-wait", check=False), 1, "never given out again")


def test_a_retry_with_the_operation_id_is_not_a_conflict(registry):
    arguments = ("create", "40", "--slug", "forty", "--region", "us-east-1", "--no-wait", "--operation-id", "ticket-0040")
    first, second = registry.org_json(*arguments), registry.org_json(*arguments)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["revision"] == second["revision"]
    other = registry.org("create", "41", "--slug", "other-41", "--region", "us-east-1", "--no-wait",
                         "--operation-id", "ticket-0040", check=False)
    refused(other, 1, "was used for another request")


def test_domains_are_kept_only_as_keyed_hashes(registry):
    pepper = registry.secret("pepper", "p" * 64)
    made = registry.org_json("create", "50", "--slug", "fifty", "--region", "us-east-1", "--no-wait",
                             "--domain", "Example.org", "--pepper-file", pepper)
    assert made["domains"] == 1
    taken = registry.org("create", "51", "--slug", "fifty-one", "--region", "us-east-1", "--no-wait",
                         "--domain", "example.ORG.", "--pepper-file", pepper, check=False)
    refused(taken, 1, "already verified for organization 50")
    wrong = registry.secret("wrong-pepper", "q" * 64)
    refused(registry.org("domains", "50", "--add", "example.net", "--pepper-file", wrong, check=False), 2, "not the pepper")
    with registry.connect() as c:
        dump = str(c.execute("SELECT * FROM domicile_registry.change").fetchall())
    assert "example" not in dump.lower()


@pytest.mark.parametrize("arguments, code, words", [
    (("create", "a b", "--slug", "x", "--region", "us-east-1"), 2, ["not a organization key"]),
    (("create", "60", "--slug", "UPPER", "--region", "us-east-1"), 2, ["slug"]),
    (("create", "60", "--slug", "sixty", "--region", "mars-1"), 2, ["known: ca-central-1, us-east-1"]),
    (("show", "nobody"), 1, ["there is no organization nobody"]),
    (("suspend", "nobody"), 1, ["there is no organization nobody"]),
    (("create", "60"), 2, ["--slug"]),
])
def test_bad_input_says_what_is_wrong(registry, arguments, code, words):
    refused(registry.org(*arguments, check=False), code, *words)


def test_another_database_is_recognized(cluster, registry):
    file = registry.secret("wrong.dsn", cluster.dsn("postgres"))
    refused(domicile("org", "list", "--registry-dsn-file", file, check=False), 2, "holds no registry")


def test_an_unreachable_registry_is_said_to_be_so(registry):
    file = registry.secret("nowhere.dsn", "host=127.0.0.1 port=1 dbname=x user=x password=hunter2")
    done = refused(domicile("org", "list", "--registry-dsn-file", file, check=False), 3, "127.0.0.1")
    assert "hunter2" not in done.stderr


def test_only_the_functions_change_anything(registry):
    with registry.connect() as c:
        for statement in ("INSERT INTO domicile_registry.organization VALUES ('x','x','us-east-1',1,'active',99)",
                          "UPDATE domicile_registry.organization SET region = 'us-east-1'",
                          "DELETE FROM domicile_registry.organization",
                          "UPDATE domicile_registry.registry SET revision = 0",
                          "SELECT domicile_registry.advance('x','x','x',NULL,NULL,NULL)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(statement)
    with registry.cluster.connect(registry.database) as owner:
        with pytest.raises(psycopg.Error) as refusal:
            owner.execute("DELETE FROM domicile_registry.organization")
        assert refusal.value.sqlstate == "DR008"


def test_no_reader_ever_misses_a_revision(registry):
    """Eight writers create at once while readers follow: whoever has seen n has seen everything before."""
    each, failures, stop = 40, [], threading.Event()

    def write(number):
        with registry.connect() as c:
            for i in range(each):
                c.execute("SELECT domicile_registry.create_organization(NULL, %s, %s, 'us-east-1', '{}')",
                          (f"w{number}-{i}", f"writer-{number}-{i}"))

    def read():
        seen = set()
        with registry.connect() as c:
            while not stop.is_set() or seen is None:
                rows = c.execute("SELECT (SELECT revision FROM domicile_registry.registry),"
                                 " array_agg(revision) FROM domicile_registry.change").fetchone()
                if set(rows[1]) != set(range(1, rows[0] + 1)):
                    failures.append((rows[0], len(rows[1])))

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not failures
    with registry.connect() as c:
        assert c.execute("SELECT count(*) FROM domicile_registry.organization WHERE key LIKE 'w%'").fetchone()[0] == 8 * each
        broken = c.execute("""
            SELECT count(*) FROM (SELECT revision, chain, sha256(lag(chain, 1, decode(repeat('00',32),'hex')) OVER (ORDER BY revision)
              || convert_to(concat_ws(E'\\n', revision, kind, subject, state), 'UTF8')) AS wanted
              FROM domicile_registry.change) c WHERE chain <> wanted""").fetchone()[0]
        assert broken == 0, "the chain can be checked by anybody who reads the history"


def test_of_racing_changes_one_wins(registry):
    registry.org("create", "70", "--slug", "seventy", "--region", "us-east-1", "--no-wait")
    outcomes = []

    def suspend():
        with registry.connect() as c:
            try:
                c.execute("SELECT domicile_registry.place_organization(NULL, '70', 1, NULL, 'suspended')")
                outcomes.append("done")
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)

    threads = [threading.Thread(target=suspend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["DR001"] * 5 + ["done"]


def test_a_killed_connection_and_the_same_operation_id_end_in_one_organization(registry):
    """The client dies between COMMIT and its answer, or before COMMIT; the retry does not care which."""
    call = "SELECT revision, replayed FROM domicile_registry.create_organization('op-killed-%s', '80%s', 'eighty-%s', 'us-east-1', '{}')"
    for number, commits in ((1, True), (2, False)):
        victim = registry.connect(autocommit=False)
        victim.execute(call % ((number,) * 3))
        if commits:
            victim.commit()
        with registry.cluster.connect() as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        done = registry.org_json("create", f"80{number}", "--slug", f"eighty-{number}", "--region", "us-east-1", "--no-wait",
                                 "--operation-id", f"op-killed-{number}")
        assert done["replayed"] is commits
        assert done["epoch"] == 1
