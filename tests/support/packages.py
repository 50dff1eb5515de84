"""Libraries of other people that the integrations are tested against, from their registries. Installed once
into a cache folder outside the checkout (DOMICILE_TEST_CACHE, else the user's cache), under a lock, so that
several runs can share it. A test skips, with the reason, when a registry cannot be reached."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

CACHE = pathlib.Path(os.environ.get("DOMICILE_TEST_CACHE")
                     or pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "domicile-test-packages")


def _installed(kind: str, wanted: list[str], install) -> pathlib.Path:
    name = kind + "-" + hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    ready = CACHE / name
    with open(CACHE / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists():
            return ready
        work = pathlib.Path(tempfile.mkdtemp(prefix=name + ".", dir=CACHE))
        try:
            done = install(work)
        except (OSError, subprocess.TimeoutExpired) as error:
            done = subprocess.CompletedProcess([], 1, "", str(error))
        if done.returncode != 0:
            shutil.rmtree(work, ignore_errors=True)
            lines = done.stderr.strip().splitlines() or ["no message"]
            cause = next((line for line in lines if " code E" in line or line.startswith("ERROR")), lines[-1])
            pytest.skip(f"{' '.join(wanted)} cannot be installed: {cause[:160]}")
        work.rename(ready)
    return ready


def python_packages(*wanted: str) -> pathlib.Path:
    """A folder for PYTHONPATH."""
    def install(work):
        return subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                               "--no-warn-conflicts", "--target", str(work), *wanted],
                              text=True, capture_output=True, timeout=300, cwd="/")
    return _installed("python", list(wanted), install)


def node_packages(*wanted: str) -> pathlib.Path:
    """A folder that holds node_modules."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")

    def install(work):
        (work / "package.json").write_text('{"private": true}')
        return subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *wanted],
                              text=True, capture_output=True, timeout=300, cwd=work)
    return _installed("node", list(wanted), install)
