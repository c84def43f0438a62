#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs clang-tidy over the compile database, and skips what passed before.

A file's key is the content of everything its object was built from (ninja knows
that after a build), its compile command, .clang-tidy and clang-tidy's version; not
where the tree stands, so that a fresh clone need not check again what passed in
another.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from functools import lru_cache

TIDY = "clang-tidy-19"

# What only GCC knows, and -Werror: with it clang-tidy reports clang's own warnings, those
# of system headers among them, as errors that no list of checks turns off. GCC warns.
NOT_FOR_TIDY = r" -fno-gnu-unique| -fpch-preprocess| -Winvalid-pch| -Werror| -include \S+/cmake_pch\.hxx"

# shm/mutex.h is annotated for it; all else GCC says as well.
CLANG_WARNINGS = ["--extra-arg=-Wno-everything", "--extra-arg=-Wthread-safety"]

# The analyzer's paths through a function: a quarter of what it would take by itself, for
# it is the longest of all checks.
ANALYZER = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=50000")]

# Every check walks all headers, and GoogleTest's are many: tests get those that have
# found something in them. The analyzer is for what stands between a guest and its host.
FOR_TESTS = (
    "--checks=-*,bugprone-unused-return-value,bugprone-use-after-move,"
    "bugprone-suspicious-string-compare,google-build-using-namespace,"
    "misc-definitions-in-headers,misc-unused-using-decls,modernize-use-override,"
    "readability-function-size,readability-identifier-naming"
)
FOR_TOOLS = "--checks=-clang-analyzer-*"
TOOLS = ("sidecar/ctl/", "vmm_shim/reference/", "tools/")


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@lru_cache(maxsize=None)
def content_hash(path):
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return "absent"


def built_from(build):
    """Object path -> files it was built from."""
    result, current = {}, None
    for line in output_of("ninja", "-C", build, "-t", "deps").splitlines():
        if line.startswith("    "):
            result[current].append(os.path.normpath(os.path.join(build, line.strip())))
        elif ": #deps" in line:
            current = line.split(": #deps", 1)[0]
            result[current] = []
    return result


def key_of(entry, dependencies, fixed, root):
    digest = hashlib.sha256(fixed.encode())
    digest.update(entry["command"].replace(root, ".").encode())
    for path in sorted(set(dependencies + [entry["file"]])):
        digest.update(f"{path.replace(root, '.')} {content_hash(path)}\n".encode())
    return digest.hexdigest()


def our_entries(build, root):
    tracked = {os.path.join(root, name) for name in output_of("git", "ls-files").splitlines()}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        database = json.load(stream)
    seen = set()
    for entry in database:
        language = os.path.splitext(entry["file"])[1]
        if entry["file"] in tracked and entry["file"] not in seen and language in (".cc", ".c"):
            seen.add(entry["file"])
            yield entry


def object_of(entry):
    words = shlex.split(entry["command"])
    return entry.get("output") or words[words.index("-o") + 1]


def write_database(build, folder):
    """A compile database for clang."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        text = stream.read()
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as stream:
        stream.write(re.sub(NOT_FOR_TIDY, "", text))
    return folder


def check(entry, database, root):
    command = [TIDY, "--quiet", "-p", database, *CLANG_WARNINGS, *ANALYZER]
    path = os.path.relpath(entry["file"], root)
    if path.startswith("tests/"):
        command.append(FOR_TESTS)
    elif path.startswith(TOOLS):
        command.append(FOR_TOOLS)
    return subprocess.run(command + [entry["file"]], capture_output=True, text=True, check=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    root = os.getcwd()
    build = os.path.abspath(options.build)
    os.makedirs(options.cache, exist_ok=True)

    database = write_database(build, os.path.join(build, "tidy"))
    fixed = output_of(TIDY, "--version") + content_hash(".clang-tidy") + FOR_TESTS + FOR_TOOLS + str((TOOLS, ANALYZER, CLANG_WARNINGS))
    dependencies = built_from(build)
    stamps, todo = {}, []
    for entry in our_entries(build, root):
        key = key_of(entry, dependencies.get(object_of(entry), []), fixed, root)
        stamps[entry["file"]] = os.path.join(options.cache, key)
        if not os.path.exists(stamps[entry["file"]]):
            todo.append(entry)
    print(f"{len(stamps)} files, {len(todo)} to check")

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(check, entry, database, root): entry for entry in todo}
        for job in concurrent.futures.as_completed(jobs):
            run, path = job.result(), jobs[job]["file"]
            if run.returncode == 0:
                with open(stamps[path], "w", encoding="utf-8"):
                    pass
                continue
            failed += 1
            print(f"--- {os.path.relpath(path, root)}")
            print(run.stdout or run.stderr, flush=True)
    if failed:
        sys.exit(f"{failed} files have findings")


if __name__ == "__main__":
    main()
