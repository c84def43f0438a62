#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints a deb822 apt list for `deb-src` or `backports`, derived from the
machine's own package sources."""

import glob
import re
import sys

ONE_LINE = re.compile(r"^(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$")
OPTION_NAMES = {"signed-by": "Signed-By", "trusted": "Trusted"}
KEPT = ("Signed-By", "Trusted")


def one_line_entries(text):
    for line in text.splitlines():
        match = ONE_LINE.match(line.split("#", 1)[0].strip())
        if not match:
            continue
        kind, options, uri, suite, components = match.groups()
        entry = {"Types": kind, "URIs": uri, "Suites": suite, "Components": components}
        for option in (options or "").split():
            name, _, value = option.partition("=")
            if name.lower() in OPTION_NAMES:
                entry[OPTION_NAMES[name.lower()]] = value.replace(",", " ")
        yield entry


def deb822_entries(text):
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", text):
        entry, field = {}, None
        for line in paragraph.splitlines():
            if line[:1] in (" ", "\t") and field:
                entry[field] += "\n" + line  # an inline key goes on
            elif ":" in line:
                field, _, value = line.partition(":")
                field = next((k for k in KEPT if k.lower() == field.lower()), field.strip())
                entry[field] = value.strip()
        if entry.get("URIs") and entry.get("Enabled", "yes").lower() != "no":
            yield entry


def machine_entries():
    files = ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*"))
    for path in files:
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
        except OSError:
            continue
        if path.endswith(".list"):
            yield from one_line_entries(text)
        elif path.endswith(".sources"):
            yield from deb822_entries(text)


def codename():
    with open("/etc/os-release", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    sys.exit("apt_sources: /etc/os-release names no VERSION_CODENAME")


def offers(entry, suite):
    return suite in entry["Suites"].split() and "main" in entry.get("Components", "").split()


def main():
    if sys.argv[1:] not in (["deb-src"], ["backports"]):
        sys.exit("usage: apt_sources.py deb-src|backports")
    release = codename()
    entries = list(machine_entries())
    suite, types = release, "deb-src"
    chosen = [entry for entry in entries if offers(entry, release)]
    if sys.argv[1] == "backports":
        suite, types = release + "-backports", "deb deb-src"
        # Where the machine has backports already, its own entry knows best.
        chosen = [entry for entry in entries if offers(entry, suite)] or chosen
    if not chosen:
        sys.exit(f"apt_sources: no package source of this machine has suite {release}, main")
    written = set()
    for entry in chosen:
        fields = [f"Types: {types}", f"URIs: {entry['URIs']}", f"Suites: {suite}"]
        fields += ["Components: main"] + [f"{name}: {entry[name]}" for name in KEPT if name in entry]
        paragraph = "\n".join(fields)
        if paragraph not in written:  # deb and deb-src lines of one mirror
            written.add(paragraph)
            print(paragraph + "\n")


if __name__ == "__main__":
    main()
