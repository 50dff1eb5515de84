#!/usr/bin/python3
"""What sealing persons costs an event, in microseconds, beside the same record with the person in it.

    ./dev bench personal [--check]
"""

import sys

FOLDER = __file__.rpartition("/")[0] or "."
sys.path[:] = [entry for entry in sys.path if entry not in ("", FOLDER)]  # this folder has files with the names of standard modules

import importlib.util  # noqa: E402
import pathlib  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
ADDED_US_MAX = 10.0  # of a submit


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"bench_{name}"] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    times = load("micro").run("personal", 3)
    for name, each in times.items():
        unit = "ms" if "million" in name else "us"
        scale = 1 if unit == "ms" else 1000
        more = f", {each['bytes_each']:.1f} bytes of memory each" if "bytes_each" in each else ""
        print(f"{name:<32} {each['median'] / scale:9.2f} {unit}  ({each['min'] / scale:.2f} to {each['max'] / scale:.2f}{more})")
    added = (times["sealed"]["median"] - times["plain"]["median"]) / 1000
    print(f"sealing adds {added:.2f} us to an event; the bar is {ADDED_US_MAX:g}")
    return 1 if "--check" in sys.argv and added > ADDED_US_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
