#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rclone's Box backend, which nobody here wrote, against the emulator, over TLS and with the host names of Box."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from emulator import Emulator, skip
from proxy import Proxy

MEGABYTE = 1 << 20


def made_up(size, seed):
    block = bytes((i * 7 + seed + i // 251) % 256 for i in range(65521))
    return (block * (size // len(block) + 1))[:size]


class Rclone:
    def __init__(self, emulator, proxy, work):
        self.config = work / "rclone.conf"
        token = {"access_token": "T1", "token_type": "bearer", "refresh_token": "R1", "expiry": "2036-01-01T00:00:00Z"}
        self.config.write_text(
            f"[box]\ntype = box\nclient_id = {emulator.endpoints['client_id']}\n"
            f"client_secret = {emulator.endpoints['client_secret']}\ntoken = {json.dumps(token)}\n"
        )
        self.environment = dict(
            os.environ, HTTPS_PROXY=proxy.url, RCLONE_CA_CERT=str(emulator.data / "ca.pem"), HOME=str(work)
        )

    def __call__(self, *words, text=True, status=0):
        done = subprocess.run(
            ["rclone", "--config", self.config, "--retries", "1", "--low-level-retries", "3", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self.environment,
            timeout=60,
            check=False,
        )
        assert (done.returncode == 0) == (status == 0), f"rclone {words}: {done.stderr.decode()}"
        return done.stdout.decode() if text else done.stdout


def check(rclone, emulator, work):
    source = work / "source"
    (source / "Folder" / "Deeper").mkdir(parents=True)
    small = made_up(12345, 1)
    large = made_up(52 * MEGABYTE + 77, 2)
    (source / "Folder" / "small.txt").write_bytes(small)
    (source / "Folder" / "Deeper" / "Grün.txt").write_bytes(b"green\n")
    (source / "Folder" / "empty").write_bytes(b"")
    (source / "large.bin").write_bytes(large)

    rclone("copy", source, "box:Backup")
    counts = emulator.counters()["calls"]
    assert counts.get("session.part", 0) >= 7 and counts.get("session.commit", 0) >= 1, counts
    listing = sorted(rclone("lsf", "-R", "box:Backup").splitlines())
    wanted = ["Folder/", "Folder/Deeper/", "Folder/Deeper/Grün.txt", "Folder/empty", "Folder/small.txt", "large.bin"]
    assert listing == sorted(wanted), listing
    # Sizes, SHA-1s and modification times are those of the source.
    rclone("check", source, "box:Backup")

    assert rclone("cat", "box:Backup/Folder/small.txt", text=False) == small
    assert rclone("cat", "--offset", "1000", "--count", "500", "box:Backup/Folder/small.txt", text=False) == small[1000:1500]
    assert rclone("cat", "--offset", "-100", "box:Backup/large.bin", text=False) == large[-100:]
    assert rclone("cat", "box:Backup/large.bin", text=False) == large

    # A new version of a file, by the same name.
    (source / "Folder" / "small.txt").write_bytes(small + b"more")
    rclone("copy", source, "box:Backup")
    assert rclone("cat", "box:Backup/Folder/small.txt", text=False) == small + b"more"
    assert emulator.counters()["calls"].get("file.upload_version", 0) == 1

    rclone("copyto", "box:Backup/Folder/small.txt", "box:Backup/copied.txt")
    rclone("moveto", "box:Backup/copied.txt", "box:Elsewhere/moved.txt")
    assert rclone("lsf", "box:Elsewhere") == "moved.txt\n"
    rclone("moveto", "box:Backup/Folder", "box:Elsewhere/Folder2")
    assert "Deeper/" in rclone("lsf", "box:Elsewhere/Folder2")
    rclone("mkdir", "box:Elsewhere/Made")
    rclone("rmdir", "box:Elsewhere/Made")
    rclone("rmdir", "box:Elsewhere/Folder2", status=1)
    rclone("deletefile", "box:Elsewhere/moved.txt")
    rclone("purge", "box:Elsewhere/Folder2")
    assert rclone("lsf", "box:Elsewhere") == ""
    about = json.loads(rclone("about", "--json", "box:"))
    assert about["total"] == 10 << 40 and about["used"] > 52 * MEGABYTE, about

    # An access token that has run out is refreshed, once.
    emulator.control("POST", "tokens", {"kind": "refresh", "token": "R1"})
    rclone.config.write_text(rclone.config.read_text().replace("2036-01-01", "2020-01-01"))
    assert "large.bin" in rclone("lsf", "box:Backup")
    assert emulator.counters()["calls"].get("oauth.token", 0) == 1, emulator.counters()
    assert "R1" not in rclone.config.read_text()
    emulator.fault("expired_token", times=1)
    assert "large.bin" in rclone("lsf", "box:Backup")

    # What goes wrong on the way is tried again by rclone.
    emulator.fault("status", status=503, retry_after=0, times=1, match={"kind": "folder.items"})
    emulator.fault("status", status=429, retry_after=1, times=1, match={"kind": "file.content"})
    assert rclone("cat", "--count", "10", "box:Backup/large.bin", text=False) == large[:10]


def main():
    if not shutil.which("rclone"):
        skip("rclone is not installed")
    emulator = Emulator(sys.argv[1], "--https", "127.0.0.1:0", "--developer-token", "T1")
    proxy = Proxy("127.0.0.1", int(emulator.endpoints["https"]["base"].rsplit(":", 1)[1]))
    work = Path(tempfile.mkdtemp(prefix="driveway-rclone-"))
    try:
        check(Rclone(emulator, proxy, work), emulator, work)
        assert {"api.box.com", "upload.box.com", "dl.boxcloud.com"} <= proxy.hosts, proxy.hosts
    finally:
        proxy.close()
        shutil.rmtree(work, ignore_errors=True)
        emulator.stop()


main()
