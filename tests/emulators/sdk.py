#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Box's official SDK for Node, fetched by npm at an exact version into the build folder, against the emulator over TLS."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from emulator import Emulator, skip

VERSION = "10.12.0"


def install(folder):
    """The SDK in the folder, from what an earlier run has left there or from the registry."""
    installed = folder / "node_modules" / "box-node-sdk" / "package.json"
    if installed.exists() and json.loads(installed.read_text())["version"] == VERSION:
        return
    folder.mkdir(parents=True, exist_ok=True)
    package = {"private": True, "dependencies": {"box-node-sdk": VERSION}}
    (folder / "package.json").write_text(json.dumps(package))
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    except subprocess.TimeoutExpired:
        skip("npm cannot fetch box-node-sdk: it takes too long")
    if done.returncode or not installed.exists():
        skip("npm cannot fetch box-node-sdk: " + done.stderr.strip()[-500:])


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are not installed")
    install(folder)
    # Modules are found beside the script that imports them.
    script = folder / "sdk.mjs"
    shutil.copyfile(Path(__file__).with_name("sdk.mjs"), script)
    emulator = Emulator(program, "--https", "127.0.0.1:0")
    try:
        done = subprocess.run(
            ["node", script, emulator.endpoints["https"]["base"], emulator.endpoints["developer_token"]],
            stdin=subprocess.DEVNULL,
            env=dict(os.environ, NODE_EXTRA_CA_CERTS=str(emulator.data / "ca.pem")),
            timeout=120,
            check=False,
        )
    finally:
        emulator.stop()
    return 1 if done.returncode else 0


sys.exit(main())
