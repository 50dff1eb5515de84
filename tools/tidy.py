#!/usr/bin/python3
"""Style as an executable test. Checks, over the files git knows:

  - every #include "module/..." in src/ stays within src/modules.cmake's order of the house;
  - heavy third-party headers stay out of headers;
  - a file lies in the namespace of its folder, headers have #pragma once and open with the idea;
  - files and functions stay short (files 450 lines, functions 70 lines);
  - banned calls, tabs, trailing blanks, leftovers such as markers for work not done;
  - nothing speaks of one machine: absolute home paths.

Exit 1 with one line a finding: path:line: rule: what. No options; run from anywhere.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70
HEAVY = ("CLI/", "nlohmann/json.hpp", "toml++", "simdjson", "spdlog/", "yaml-cpp", "openssl/", "curl/", "libpq-fe.h")
# Headers whose very purpose is the heavy library, each with its reason.
HEAVY_ALLOWED = {
    "src/app/cli.h": "the verbs' common ground is CLI11",
    "src/crypto/fetched.h": "OpenSSL behind RAII, for crypto's own .cpp files",
    "src/crypto/pem.h": "the same",
    "src/crypto/weak_key.h": "the same",
}
BANNED = {
    r"\b(strcpy|strcat|sprintf|gets|atoi|system|tmpnam)\s*\(": "banned call",
    r"\bstd::(cout|cerr)\b": "write through base/log.h or app/cli.h",
    r"\bsleep_for\b": "wait for the thing itself, not for a while",
    r"using namespace std\b": "no using namespace std",
}
# PostgreSQL has no event for "that transaction ended" or "that lock is free": these ask again.
POLLS = {"src/store/catalog_apply.cpp", "src/store/region_store.cpp"}
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE = re.compile(r"/(root|home)/[a-z]+/|/work" r"/(main|shared)")
TEXT = {".cpp", ".h", ".sql", ".py", ".md", ".toml", ".sh", ".cmake", ".txt", ".json", ".html", ".js", ".css"}


def house():
    """module -> set of modules it may include, from the one list in src/modules.cmake"""
    direct = {}
    for line in (ROOT / "src/modules.cmake").read_text().splitlines():
        m = re.match(r"domicile_module\((\w+)\s*(?:USES ([\w ]+?))?(?:\s+LIBS.*)?\)$", line.strip())
        if m:
            direct[m.group(1)] = (m.group(2) or "").split()
    closed = {}
    for name, uses in direct.items():  # listed from the ground up: whatever is used is closed already
        closed[name] = {name}
        for used in uses:
            if used not in closed:
                sys.exit(f"src/modules.cmake: {name} uses {used}, which does not stand below it")
            closed[name] |= closed[used]
    return closed


def function_lengths(lines):
    """(line, length) of each outermost braces block that follows a parameter list; clang-format's
    layout makes this exact enough: a body opens with ') ... {' at the end of a line."""
    stack, found = [], []
    for number, line in enumerate(lines, 1):
        code = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*', "", line)
        for c in code:
            if c == "{":
                opener = re.search(r"\)[^;={]*\{\s*$", code) is not None
                stack.append((number, opener))
            elif c == "}" and stack:
                start, opener = stack.pop()
                if opener and not any(o for _, o in stack):
                    found.append((start, number - start + 1))
    return found


def check_cpp(path, rel, text, allowed, out):
    lines = text.splitlines()
    module = rel.parts[1] if rel.parts[0] == "src" else None
    is_header = rel.suffix == ".h"
    for n, line in enumerate(lines, 1):
        m = re.match(r'#include "([a-z_]+)/', line)
        if m and module and m.group(1) in allowed and m.group(1) not in allowed[module]:
            out(rel, n, "house", f"{module} may not use {m.group(1)} (src/modules.cmake)")
        m = re.match(r"#include <([^>]+)>", line)
        if m and is_header and str(rel) not in HEAVY_ALLOWED and any(m.group(1).startswith(h) for h in HEAVY):
            out(rel, n, "heavy", f"<{m.group(1)}> belongs in a .cpp file")
        for pattern, why in BANNED.items():
            if why.startswith("wait") and str(rel) in POLLS:
                continue
            if module and re.search(pattern, re.sub(r'"(\\.|[^"\\])*"|//.*', "", line)):
                out(rel, n, "banned", why)
    if module and rel.name != "main.cpp":
        space = "domicile" if module == "base" else f"domicile::{module}"
        if f"namespace {space}" not in text:
            out(rel, 1, "namespace", f"expected namespace {space}")
    if is_header:
        if "#pragma once" not in text:
            out(rel, 1, "header", "no #pragma once")
        if not text.startswith("//"):
            out(rel, 1, "header", "open with a comment that tells the idea")
    for start, length in function_lengths(lines):
        if length > FUNCTION_LINES_MAX:
            out(rel, start, "function", f"{length} lines (at most {FUNCTION_LINES_MAX})")


def main():
    allowed = house()
    findings = []
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()

    def out(rel, line, rule, what):
        findings.append(f"{rel}:{line}: {rule}: {what}")

    for name in names:
        path, rel = ROOT / name, pathlib.Path(name)
        if rel.suffix not in TEXT and rel.name not in ("dev", "run") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        is_data = "corpus" in name or rel.suffix == ".json"
        if rel.suffix in (".cpp", ".h"):
            check_cpp(path, rel, text, allowed, out)
        if rel.suffix in (".cpp", ".h", ".py") and len(text.splitlines()) > FILE_LINES_MAX:
            out(rel, 1, "file", f"{len(text.splitlines())} lines (at most {FILE_LINES_MAX}): would two rooms be clearer?")
        for n, line in enumerate(text.splitlines(), 1):
            if is_data:
                break
            if rel.suffix in (".cpp", ".h", ".py", ".sql") and (line != line.rstrip() or "\t" in line):
                out(rel, n, "blanks", "tab or trailing blank")
            if rel.suffix != ".md" and LEFTOVER.search(line):
                out(rel, n, "leftover", "say it in an issue or do it")
            if rel != pathlib.Path("tools/tidy.py") and MACHINE.search(line):
                out(rel, n, "machine", "a path of one machine")
    print("\n".join(findings) or f"tidy: {len(names)} files, nothing to say")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
