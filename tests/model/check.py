#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks the model of an incident's life (incident.pml) with spin.

Whole, with every protection: no error, and every state was visited. With any one
protection switched off: the error that it is there for.

  check.py [--long] [--keep DIR] [NAME…]

MEMFAIL_LONG=1 or --long: the larger bounds too. --keep leaves the trace of each
error in DIR, step by step. NAME: only these; --list says which there are. Exit
status: 0 all as expected, 1 not.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from configurations import CONFIGURATIONS

HERE = pathlib.Path(__file__).resolve().parent
DEPTH = 20000          # a search that needs more says so, and is no proof
MEMORY_MIB = 6000
SECONDS = 570
SECONDS_LONG = 1700
SAFETY = ("-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}", "-w")


class Outcome:
    """What pan's report says."""

    def __init__(self, text):
        violated = re.search(r"assertion violated .*?(\w+)\)* \(at depth", text)
        self.error = violated.group(1) if violated else None
        errors = re.search(r"errors: (\d+)", text)
        states = re.search(r"(\d+) states, stored", text)
        self.states = int(states.group(1)) if states else 0
        incomplete = "not completed" in text or "max search depth too small" in text
        self.complete = errors is not None and not incomplete
        self.failed = errors is None or int(errors.group(1)) != 0


def run(command, folder, **kwargs):
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False,
                          **kwargs)


def require(result, what):
    if result.returncode != 0 or "rror:" in result.stdout:
        sys.exit(f"{what} failed:\n{result.stdout}{result.stderr}")


def options_of(configuration):
    return [f"-D{option}" for option in configuration.options]


def limit_of(configuration):
    return SECONDS_LONG if configuration.long else SECONDS


def search(configuration, folder):
    for source in HERE.glob("*.pml"):
        shutil.copy(source, folder)
    require(run(["spin", "-a", *options_of(configuration), "incident.pml"], folder), "spin -a")
    # What ends at an error ends soon: there the compiler's time counts.
    optimize = "-O0" if configuration.error else "-O1"
    require(run([os.environ.get("CC", "cc"), optimize, *SAFETY, "-o", "pan", "pan.c"], folder), "cc")
    # -E: where everything rests is for `judge` to judge.
    bits = "-w20" if configuration.error else "-w24"
    result = run(["./pan", "-E", "-n", f"-m{DEPTH}", bits], folder, timeout=limit_of(configuration))
    return Outcome(result.stdout)


def keep_trace(configuration, folder, keep):
    trace = run(["spin", "-t", "-p", "-g", *options_of(configuration), "incident.pml"], folder)
    (pathlib.Path(keep) / f"{configuration.name}.txt").write_text(trace.stdout)


def judged(configuration, outcome):
    """Empty where it is as expected, else what is wrong."""
    if configuration.error:
        if outcome.error in configuration.error.split("|"):
            return ""
        return f"expected {configuration.error}, found {outcome.error or 'nothing'}"
    if outcome.error or outcome.failed:
        return f"found {outcome.error or 'an error that has no name'}"
    return "" if outcome.complete else "the search was cut off: larger limits are needed"


def check(configuration, keep):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memfail-model-") as folder:
        try:
            outcome = search(configuration, folder)
        except subprocess.TimeoutExpired:
            print(f"{configuration.name:<24} WRONG: not done within "
                  f"{limit_of(configuration)} s", flush=True)
            return False
        wrong = judged(configuration, outcome)
        if keep and outcome.error:
            keep_trace(configuration, folder, keep)
    said = f"WRONG: {wrong}" if wrong else f"ok: {outcome.error or 'no error'}"
    took = time.monotonic() - begun
    print(f"{configuration.name:<24} {said:<32} {outcome.states:>9} states {took:6.1f} s", flush=True)
    return not wrong


def chosen(names, long_form):
    known = {configuration.name: configuration for configuration in CONFIGURATIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no configuration {', '.join(unknown)}; --list says which there are")
    if names:
        return [known[name] for name in names]
    return [one for one in CONFIGURATIONS if long_form or not one.long]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--long", action="store_true", help="larger bounds too")
    parser.add_argument("--keep", metavar="DIR", help="write each error's trace there")
    parser.add_argument("--list", action="store_true", help="print the names, and which are long")
    arguments = parser.parse_args()
    if arguments.list:
        for configuration in CONFIGURATIONS:
            print(configuration.name, "long" if configuration.long else "")
        return 0
    if shutil.which("spin") is None:
        sys.exit("spin is not installed; it is in packaging/dependencies/debian-12.txt "
                 "(./dev setup installs it)")
    if arguments.keep:
        os.makedirs(arguments.keep, exist_ok=True)
    long_form = arguments.long or os.environ.get("MEMFAIL_LONG") == "1"
    results = [check(one, arguments.keep) for one in chosen(arguments.names, long_form)]
    print(f"{len(results)} configurations, {results.count(False)} not as expected")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
