#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Looks at built files for what cmake/hardening.cmake asked for.

  hardening.py FILE…

Programs, shared libraries and archives; one line for each thing that is missing.
Exit status: 0 all is there, 1 something is not.
"""

import re
import subprocess
import sys


def readelf(path, *options):
    return subprocess.run(["readelf", "--wide", *options, path], check=True,
                          capture_output=True, text=True).stdout


ENDBR64 = bytes.fromhex("f30f1efa")


def control_flow_problems(path):
    if "SHSTK" not in readelf(path, "--notes"):
        yield "not marked for a shadow stack"
    with open(path, "rb") as stream:
        if stream.read().count(ENDBR64) < 100:
            yield "no endbr64 where it may be jumped to (-fcf-protection)"


def imports(path):
    """Names that the file takes from elsewhere, without versions."""
    return {match.split("@")[0] for match in re.findall(r" UND (\S+)", readelf(path, "--symbols"))}


def segments(path):
    return re.findall(r"^  (\w+) +(?:0x\w+ +){5}([R ][W ][E ])", readelf(path, "--segments"), re.M)


def linked_problems(path):
    dynamic = readelf(path, "--dynamic")
    rights = segments(path)
    if not rights:
        yield "no segments could be read"
    if "Type:" not in readelf(path, "--file-header") or not re.search(
            r"Type: +DYN", readelf(path, "--file-header")):
        yield "not position independent"
    if "INTERP" in {name for name, _ in rights} and not re.search(r"FLAGS_1.*\bPIE\b", dynamic):
        yield "a program, but not PIE"
    if "GNU_RELRO" not in {name for name, _ in rights}:
        yield "no RELRO"
    if not re.search(r"\(FLAGS(_1)?\).*\b(BIND_NOW|NOW)\b", dynamic):
        yield "symbols are bound late (-z now)"
    if [flags for name, flags in rights if name == "GNU_STACK"] != ["RW "]:
        yield "the stack is not marked as without code"
    for name, flags in rights:
        if "W" in flags and "E" in flags:
            yield f"segment {name} is writable and executable"
    for tag in ("TEXTREL", "RPATH", "RUNPATH"):
        if f"({tag})" in dynamic:
            yield f"has {tag}"


def code_problems(path):
    yield from control_flow_problems(path)
    names = imports(path)
    if "__stack_chk_fail" not in names:
        yield "no stack protector"
    if not any(re.fullmatch(r"__\w+_chk", name) for name in names):
        yield "no fortified call"


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    bad = 0
    for path in sys.argv[1:]:
        problems = list(code_problems(path))
        if not path.endswith(".a"):
            problems += linked_problems(path)
        for problem in problems:
            print(f"{path}: {problem}")
        bad += len(problems)
        print(f"{path}: {'ok' if not problems else 'NOT HARDENED'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
