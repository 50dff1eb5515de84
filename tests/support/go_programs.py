"""Programs of other people in Go, by which our log is read and witnessed: built once from the Go module proxy into the
cache of packages.py. A test skips, with the reason, when there is no Go, it is too old, or the proxy cannot be reached."""

import os
import pathlib
import shutil
import subprocess

import pytest

from support.packages import CACHE, _installed


def _go() -> str:
    found = shutil.which("go") or "/usr/local/go/bin/go"
    if not pathlib.Path(found).exists():
        pytest.skip("Go is not installed")
    return found


def _environment() -> dict:
    CACHE.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "GOPATH": str(CACHE / "gopath"), "GOFLAGS": "-mod=mod -modcacherw", "GOTOOLCHAIN": "local"}


def go_tool(package: str, version: str) -> pathlib.Path:
    """The program of that package, at that version of its module."""
    go = _go()

    def install(work):
        return subprocess.run([go, "install", f"{package}@{version}"], text=True, capture_output=True, timeout=600, cwd="/",
                              env={**_environment(), "GOBIN": str(work)})
    return _installed("go", [f"{package}@{version}"], install) / package.rsplit("/", 1)[-1]


def go_program(source: pathlib.Path, *modules: str) -> pathlib.Path:
    """A program of one file of ours, with these modules ("path@version")."""
    go = _go()
    text = source.read_text()

    def install(work):
        (work / "main.go").write_text(text)
        steps = [[go, "mod", "init", "peer"], *([go, "get", module] for module in modules), [go, "build", "-o", "peer", "."]]
        for step in steps:
            done = subprocess.run(step, text=True, capture_output=True, timeout=600, cwd=work, env=_environment())
            if done.returncode != 0:
                break
        return done
    return _installed("go", [source.name, text, *modules], install) / "peer"
