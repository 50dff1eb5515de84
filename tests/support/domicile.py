"""Runs the real `domicile` binary. DOMICILE_BIN names it; else the newest build under build/."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary() -> pathlib.Path:
    if "DOMICILE_BIN" in os.environ:
        return pathlib.Path(os.environ["DOMICILE_BIN"])
    built = [p for p in ROOT.glob("build/*/domicile") if p.is_file()]
    if not built:
        raise RuntimeError("no domicile binary: run ./dev build, or set DOMICILE_BIN")
    return max(built, key=lambda p: p.stat().st_mtime)


def domicile(*arguments, check: bool = True, env: dict | None = None, timeout: float = 120,
             stdin: str | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run([str(binary()), *map(str, arguments)], text=True, capture_output=True,
                          timeout=timeout, input=stdin, env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        raise AssertionError(f"domicile {' '.join(map(str, arguments))} exited {done.returncode}\n"
                             f"stdout: {done.stdout}\nstderr: {done.stderr}")
    return done


def domicile_json(*arguments, **kwargs):
    return json.loads(domicile("--output", "json", *arguments, **kwargs).stdout)
