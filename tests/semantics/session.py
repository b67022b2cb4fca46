#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Type the examples of one part of a document into a shell, and compare what it answers.

    session.py DOCUMENT PART DRIVEWAY

The examples are the blocks marked ```console below the heading "## PART": a line that begins with "$ " is typed, the
lines below it are the answer. A command without an answer must succeed. The whole part is one session of bash, in an
empty folder of its own, with the folder of DRIVEWAY in PATH. Exit status 77: drives cannot be mapped here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 120


def examples(document, part):
    """The commands of the part, each with the answer that the document shows."""
    text = re.split(r"^## ", Path(document).read_text(), flags=re.MULTILINE)
    sections = [section for section in text if section.split("\n", 1)[0] == part]
    assert len(sections) == 1, f"{len(sections)} parts are called {part}"
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", sections[0], re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    assert found, f"{part} has no examples"
    return found


class Shell:
    """A session of bash; say() types a command and answers its status and what it wrote."""

    END = "--- end of the answer ---"

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
        )

    def say(self, command):
        self.process.stdin.write(f"{command}\nprintf '\\n%s %d\\n' '{self.END}' $?\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.startswith(self.END):
                # The line break before the mark ends an answer that has none of its own; else it is an empty line.
                return int(line.split()[-1]), lines if lines[-1] else lines[:-1]
            lines.append(line.rstrip("\n"))
        return -1, lines

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def unmap_below(folder, driveway, environment):
    with open("/proc/self/mounts") as mounts:
        targets = [line.split()[1] for line in mounts]
    for target in targets:
        if target.startswith(folder + "/"):
            subprocess.run(["timeout", "30", driveway, "unmap", "--force", target], env=environment, check=False)
            subprocess.run(["umount", "-l", target], stderr=subprocess.DEVNULL, check=False)


def main():
    document, part, driveway = sys.argv[1:]
    if not os.path.exists("/dev/fuse"):
        print("skipped: there is no /dev/fuse")
        return 77
    driveway = os.path.abspath(driveway)
    folder = tempfile.mkdtemp(prefix="driveway-session-", dir="/tmp")
    place = Path(folder) / "here"
    place.mkdir()
    environment = dict(os.environ, DRIVEWAY_RUNTIME_DIR=folder + "/run", XDG_CACHE_HOME=folder + "/cache", LC_ALL="C")
    environment["PATH"] = os.path.dirname(driveway) + ":" + environment["PATH"]

    def give_up(*_):
        raise TimeoutError(f"stopped, or no answer within {SECONDS} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(SECONDS)
    failures = 0
    shell = Shell(place, environment)
    try:
        for command, expected in examples(document, part):
            print("$ " + command, flush=True)
            status, answer = shell.say(command)
            print(*answer, sep="\n", end="\n" if answer else "", flush=True)
            if answer != expected or (not expected and status != 0):
                print(f"--- status {status}; the document shows:", *expected, sep="\n")
                failures += 1
    except TimeoutError as error:
        print(error)
        failures += 1
        shell.process.kill()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shell.close()
        unmap_below(folder, driveway, environment)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
