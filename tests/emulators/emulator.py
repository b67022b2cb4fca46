# SPDX-License-Identifier: MIT
"""
What the tests of the Box emulator share: the running program, a client that speaks plain HTTP to it, and the checks.

Each function of a test file gets a client of an account that is empty, on an emulator that all functions of the file share.
Every JSON answer is held against Box's own description of its API on the way.
"""

import atexit
import base64
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import urllib.parse
from pathlib import Path

import openapi

DESCRIPTION = openapi.Description()


class Emulator:
    """The program, on free ports, with its data in a temporary folder."""

    def __init__(self, program, *options, data=None):
        self.program = program
        self.options = options
        self.own = data is None
        self.data = Path(data or tempfile.mkdtemp(prefix="driveway-box-"))
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--data", self.data, *self.options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.process.kill)  # when a test fails before it stops this one
        line = self.process.stdout.readline()
        if not line.startswith("http://"):
            raise RuntimeError("the emulator did not start")
        self.endpoints = json.loads((self.data / "endpoints.json").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """End it as a user would; the exit status tells what a sanitizer found."""
        self.process.terminate()
        status = self.process.wait(60)
        self.process.stdout.close()
        if self.own:
            shutil.rmtree(self.data, ignore_errors=True)
        if status:
            raise RuntimeError(f"the emulator ended with status {status}")

    def control(self, method, path, body=None):
        answer = send(self.endpoints["control"] + "/" + path, method, body=json.dumps(body) if body is not None else None)
        if answer.status >= 400:
            raise RuntimeError(f"control {method} {path}: {answer.status} {answer.text}")
        return answer.json if answer.text else None

    def fault(self, fault, match=None, **more):
        return self.control("POST", "faults", {"fault": fault, "match": match or {}, **more})["id"]

    def counters(self):
        return self.control("GET", "counters")


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


def send(url, method="GET", body=None, headers=None, timeout=60):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def multipart(attributes, content, part="file", order=("attributes", "file"), boundary="x-boundary-x"):
    pieces = {
        "attributes": f'--{boundary}\r\nContent-Disposition: form-data; name="attributes"\r\n\r\n{attributes}\r\n'.encode(),
        "file": f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; filename="f"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n",
    }
    return b"".join(pieces[name] for name in order) + f"--{boundary}--\r\n".encode()


def digest(content):
    return "sha=" + base64.b64encode(hashlib.sha1(content).digest()).decode()


class Client:
    """Calls as one user."""

    def __init__(self, emulator, token=None):
        self.emulator = emulator
        self.token = token or emulator.endpoints["developer_token"]
        self.api = emulator.endpoints["http"]["api"]
        self.upload_base = emulator.endpoints["http"]["upload"]

    def call(self, method, path, body=None, base=None, **headers):
        all_headers = {"Authorization": "Bearer " + self.token}
        all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        url = path if path.startswith("http") else (base or self.api) + path
        answer = send(url, method, body, all_headers)
        if not path.startswith("http"):
            DESCRIPTION.check(method, path.split("?")[0], answer)
        return answer

    def ok(self, method, path, body=None, status=200, **more):
        answer = self.call(method, path, body, **more)
        assert answer.status == status, f"{method} {path}: {answer.status} instead of {status}: {answer.text}"
        return answer.json if answer.text and answer.status != 302 else answer

    def error(self, status, code, method, path, body=None, **more):
        answer = self.call(method, path, body, **more)
        assert answer.status == status, f"{method} {path}: {answer.status} instead of {status}: {answer.text}"
        said = answer.json
        assert said["type"] == "error" and said["status"] == status and said["request_id"], said
        assert said["code"] == code, said
        return said

    def folder(self, name, parent="0"):
        return self.ok("POST", "/folders", {"name": name, "parent": {"id": parent}}, status=201)

    def upload(self, name, content, parent="0", status=201, part="file", **more):
        attributes = {"name": name, "parent": {"id": parent}, **more.pop("attributes", {})}
        answer = self.call(
            "POST",
            "/files/content",
            multipart(json.dumps(attributes), content, part),
            base=self.upload_base,
            Content_Type='multipart/form-data; boundary="x-boundary-x"',
            **more,
        )
        assert answer.status == status, f"{answer.status} instead of {status}: {answer.text}"
        return answer.json["entries"][0] if status == 201 else answer.json

    def new_version(self, file, content, status=201, attributes=None, **more):
        answer = self.call(
            "POST",
            f"/files/{file}/content",
            multipart(json.dumps(attributes or {}), content),
            base=self.upload_base,
            Content_Type="multipart/form-data; boundary=x-boundary-x",
            **more,
        )
        assert answer.status == status, f"{answer.status} instead of {status}: {answer.text}"
        return answer.json["entries"][0] if status == 201 else answer.json

    def download(self, file, query="", **headers):
        redirect = self.ok("GET", f"/files/{file}/content{query}", status=302)
        return send(redirect.headers["Location"], headers={name: value for name, value in headers.items()})

    def empty(self):
        """Delete everything, for good."""
        for entry in self.ok("GET", "/folders/0/items?limit=1000&fields=type")["entries"]:
            recursive = "?recursive=true" if entry["type"] == "folder" else ""
            self.ok("DELETE", f"/{entry['type']}s/{entry['id']}{recursive}", status=204)
        while entries := self.ok("GET", "/folders/trash/items?limit=1000&fields=type")["entries"]:
            for entry in entries:
                # What lay in a folder that was purged has gone with it.
                assert self.call("DELETE", f"/{entry['type']}s/{entry['id']}/trash").status in (204, 404)

    def names(self, folder="0"):
        return [entry["name"] for entry in self.ok("GET", f"/folders/{folder}/items?limit=1000")["entries"]]


def main(functions, *options):
    """Run the functions on one emulator, named by the command line; the exit status is 1 when one fails."""
    emulator = Emulator(sys.argv[1], *options)
    failed = 0
    for function in functions:
        emulator.control("DELETE", "faults")
        client = Client(emulator)
        client.empty()
        try:
            function(client)
            print("ok  ", function.__name__, flush=True)
        except Exception:
            failed += 1
            print("FAIL", function.__name__, flush=True)
            traceback.print_exc()
    emulator.control("DELETE", "faults")
    try:
        emulator.stop()
    except Exception:
        failed += 1
        traceback.print_exc()
    return 1 if failed else 0


def skip(why):
    print("skipped:", why)
    sys.exit(77)
