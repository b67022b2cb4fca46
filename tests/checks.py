# SPDX-License-Identifier: MIT
"""
The checks that read the tree instead of running it. Each is called with the project's folder and the folder of the test
builds, and answers ("passed" | "failed" | "skipped", what it has to say).
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LINES_MAX = 850

# Calls that are not to be used, and what to use.
BANNED = {
    "strcpy": "snprintf or memcpy",
    "strcat": "snprintf",
    "strncpy": "snprintf or memcpy",
    "strncat": "snprintf",
    "stpcpy": "snprintf or memcpy",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "system": "fork and execve",
    "tmpnam": "mkstemp",
    "tempnam": "mkstemp",
    "mktemp": "mkstemp or mkdtemp",
    "rand": "a generator with its state in view",
    "srand": "a generator with its state in view",
    "atoi": "strtol",
    "atol": "strtol",
    "atof": "strtod",
    "alloca": "an array of fixed size, or malloc",
    "strtok": "strsep or strtok_r",
    "asctime": "strftime",
    "ctime": "strftime",
    "gmtime": "gmtime_r",
    "localtime": "localtime_r",
    "readdir_r": "readdir",
}
# How far the analyzer of clang-tidy follows a function, in states: a quarter of what it does as it comes, for a fourth of
# the time. `clang-tidy -p build-test/asan FILE` by hand goes all the way.
ANALYZER_NODES = 50000
# A test may use the shell.
ALLOWED_IN_TESTS = {"system"}


def files(top, *suffixes):
    """Files of the project with these suffixes, without what was built."""
    for folder, below, names in os.walk(top):
        below[:] = sorted(
            name
            for name in below
            if name != ".git" and not (Path(folder) == Path(top) and (name.startswith("build") or name == "drives"))
        )
        for name in sorted(names):
            if name.endswith(suffixes):
                yield Path(folder) / name


def verdict(problems):
    return ("failed", "\n".join(problems)) if problems else ("passed", "")


def without_comments_and_text(source):
    """C source with comments and literals blanked, line numbers kept."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, source, flags=re.DOTALL)


def banned_calls(top, builds):
    call = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    problems = []
    for path in files(top, ".c", ".h"):
        for number, line in enumerate(without_comments_and_text(path.read_text()).splitlines(), 1):
            for match in call.finditer(line):
                name = match.group(1)
                if name in ALLOWED_IN_TESTS and path.relative_to(top).parts[0] == "tests":
                    continue
                problems.append(f"{path.relative_to(top)}:{number}: {name} is banned: use {BANNED[name]}")
    return verdict(problems)


def lengths(top, builds):
    problems = []
    for path in files(top, ".c", ".h", ".py", ".sh"):
        count = path.read_text(errors="replace").count("\n")
        if count > LINES_MAX:
            problems.append(f"{path.relative_to(top)}: {count} lines: a file of more than {LINES_MAX} is two")
    return verdict(problems)


def licences(top, builds):
    problems = []
    for path in files(top, ".c", ".h", ".py", ".sh", "meson.build", ".ini", "Makefile"):
        if "SPDX-License-Identifier: MIT" not in path.read_text(errors="replace")[:300]:
            problems.append(f"{path.relative_to(top)}: no SPDX-License-Identifier line at its head")
    return verdict(problems)


def leftovers(top, builds):
    problems = []
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for path in files(top, ".c", ".h", ".sh", "meson.build", ".md"):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if mark.search(line) and "XXXX" not in line:
                problems.append(f"{path.relative_to(top)}:{number}: {line.strip()}")
    return verdict(problems)


def said_by(command, top):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=top,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def missing(program):
    return ("skipped", f"skipped: {program} is not installed") if shutil.which(program) is None else None


def layout(top, builds):
    if absent := missing("clang-format"):
        return absent
    status, text = said_by(["clang-format", "--dry-run", "-Werror", *files(top, ".c", ".h")], top)
    return ("passed", "") if status == 0 else ("failed", text)


def tidy(top, builds):
    """clang-tidy with the checks of .clang-tidy on every file but tests that clang compiles."""
    if absent := missing("clang-tidy"):
        return absent
    database = builds / "asan" / "compile_commands.json"
    if not database.exists():
        return "failed", "there is no build by clang to take the compiler's flags from"
    known = database.read_text()
    sources = [
        path
        for path in files(top, ".c")
        if f"{path.relative_to(top)}\"" in known and path.relative_to(top).parts[0] != "tests"
    ]

    def one(path):
        command = ["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", database.parent]
        for word in ("-analyzer-config", f"max-nodes={ANALYZER_NODES}"):
            command += ["--extra-arg=-Xclang", f"--extra-arg={word}"]
        command.append(path)
        status, text = said_by(command, top)
        return text if status else ""

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return verdict([text for text in pool.map(one, sources) if text])


def manuals(top, builds):
    pages = [path for path in files(top, ".1", ".5", ".7", ".8")]
    if not pages:
        return "skipped", "skipped: there are no manual pages"
    if absent := missing("mandoc"):
        return absent
    status, text = said_by(["mandoc", "-T", "lint", "-W", "warning", *pages], top)
    return ("passed", "") if status == 0 else ("failed", text)


def shell(top, builds):
    problems = []
    for path in files(top, ""):
        try:
            with open(path, "rb") as file:
                first = file.readline(64)
        except OSError:
            continue
        if first.startswith(b"#!/bin/sh") or first.startswith(b"#!/bin/bash") or path.suffix == ".bash":
            status, text = said_by(["bash" if b"bash" in first or path.suffix == ".bash" else "sh", "-n", path], top)
            if status:
                problems.append(text)
    return verdict(problems)


ALL = [
    ("layout (clang-format)", layout),
    ("banned calls", banned_calls),
    ("length of files", lengths),
    ("licence lines", licences),
    ("nothing left to do", leftovers),
    ("shell syntax", shell),
    ("manual pages (mandoc)", manuals),
    ("clang-tidy", tidy),
]
