#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random changes of good requests, over sockets: whatever comes, the emulator answers, or closes, and goes on."""

import http.client
import json
import random
import sys
import time

from emulator import main, multipart

ROUNDS = 400
VALUES = [None, True, 0, -1, 1 << 62, 1e308, "", "0", "a" * 300, "\u0000", "../x", [], {}, [[]], {"id": 5}, {"id": "0"}, {"id": None}]


def requests(client):
    file = client.upload("file", b"content")["id"]
    folder = client.folder("folder")["id"]
    session = client.ok("POST", "/files/upload_sessions", {"folder_id": "0", "file_size": 3, "file_name": "s"}, status=201,
                        base=client.upload_base)["id"]
    form = "multipart/form-data; boundary=x-boundary-x"
    named = {"name": "n", "parent": {"id": folder}}
    return [
        ("GET", "/2.0/folders/0/items?usemarker=true&marker=1-5&limit=3&fields=name,metadata.global.properties", "", {}),
        ("GET", f"/2.0/folders/{folder}/items?offset=1&limit=3&sort=size&direction=DESC", "", {}),
        ("POST", "/2.0/folders", named, {}),
        ("PUT", f"/2.0/folders/{folder}", {**named, "shared_link": {"access": "open"}, "description": "d", "tags": ["t"]}, {"If-Match": "0"}),
        ("PUT", f"/2.0/files/{file}", {"name": "n", "content_modified_at": "2001-01-01T00:00:00Z", "tags": []}, {}),
        ("POST", f"/2.0/files/{file}/copy", {**named, "version": "1"}, {}),
        ("POST", f"/2.0/folders/{folder}/copy", named, {}),
        ("DELETE", f"/2.0/folders/{folder}?recursive=true", "", {}),
        ("POST", f"/2.0/folders/{folder}", named, {}),
        ("GET", f"/2.0/files/{file}?fields=permissions,path_collection,lock,extension,version_number,x", "", {"If-None-Match": "0"}),
        ("GET", f"/2.0/files/{file}/content?version=1", "", {"Range": "bytes=0-3"}),
        ("OPTIONS", "/2.0/files/content", {**named, "size": 5}, {}),
        ("POST", "/api/2.0/files/content", multipart(json.dumps({**named, "content_created_at": "x"}), b"abc").decode(), {"Content-Type": form}),
        ("POST", f"/api/2.0/files/{file}/content", multipart("{}", b"abc").decode(), {"Content-Type": form, "If-Match": "0"}),
        ("POST", "/api/2.0/files/upload_sessions", {"folder_id": folder, "file_size": 3, "file_name": "t"}, {}),
        ("PUT", f"/api/2.0/files/upload_sessions/{session}", "abc", {"Digest": "sha=qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "Content-Range": "bytes 0-2/3"}),
        ("GET", f"/api/2.0/files/upload_sessions/{session}/parts?offset=0&limit=2", "", {}),
        ("POST", f"/api/2.0/files/upload_sessions/{session}/commit",
         {"parts": [{"part_id": "A", "offset": 0, "size": 3}], "attributes": {"content_modified_at": "x"}},
         {"Digest": "sha=qZk+NkcGgWq6PiVxeFDCbJzQ2J0="}),
        ("POST", f"/2.0/files/{file}/metadata/global/properties", {"a": "b"}, {}),
        ("PUT", f"/2.0/files/{file}/metadata/global/properties", [{"op": "add", "path": "/a", "value": "b", "from": "/c"}], {}),
        ("POST", f"/2.0/files/{file}/versions/current", {"id": "1"}, {}),
        ("GET", "/2.0/events?stream_position=0&limit=5", "", {}),
        ("GET", "/api/oauth2/authorize?response_type=code&client_id=driveway-demo&redirect_uri=http://127.0.0.1/&state=x", "", {}),
        ("POST", "/oauth2/token", "grant_type=refresh_token&refresh_token=x&client_id=driveway-demo&client_secret=y", {}),
        ("GET", "/2.0/folders/trash/items?limit=5", "", {}),
        ("GET", "/d/1/2-3-4-5/download", "", {"Range": "bytes=0-"}),
    ]


def mutate_text(source, text):
    data = bytearray(text.encode())
    for _ in range(source.randrange(3)):
        at = source.randrange(len(data) + 1)
        kind = source.randrange(3)
        if kind == 0 and at < len(data):
            data[at] = source.randrange(256)
        elif kind == 1:
            del data[at : at + source.randrange(9)]
        else:
            data[at:at] = source.choice([b"%", b"%00", b"/", b"..", b"=", b"&", b"-", b"9" * 25, b"\xff", b"{", b'"', b"\r\n"])
    return bytes(data)


def mutate_json(source, value):
    if source.random() < 0.2:
        return source.choice(VALUES)
    if isinstance(value, dict):
        return {name: mutate_json(source, one) for name, one in value.items() if source.random() > 0.1}
    if isinstance(value, list):
        return [mutate_json(source, one) for one in value] * source.choice([1, 1, 1, 2, 0])
    return value


def mutated(client):
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print("     seed", seed)
    source = random.Random(seed)
    templates = requests(client)
    host, port = "127.0.0.1", int(client.emulator.endpoints["http"]["base"].rsplit(":", 1)[1])
    for _ in range(ROUNDS):
        method, target, body, headers = source.choice(templates)
        if not isinstance(body, str):
            body = json.dumps(mutate_json(source, body))
        body = mutate_text(source, body) if source.random() < 0.5 else body.encode()
        target = mutate_text(source, target) if source.random() < 0.4 else target.encode()
        target = bytes(c for c in target if c > 32 and c not in b"\x7f")
        lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: 127.0.0.1", b"Authorization: Bearer " + client.token.encode(),
                 b"Content-Length: %d" % len(body)]
        for name, value in headers.items():
            value = mutate_text(source, value) if source.random() < 0.4 else value.encode()
            lines.append(name.encode() + b": " + value.replace(b"\r", b"").replace(b"\n", b""))
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.connect()
        connection.sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        response = http.client.HTTPResponse(connection.sock, method=method)
        try:
            response.begin()
            assert response.status < 500, (lines, body, response.status, response.read())
            response.read()
        except (http.client.HTTPException, ConnectionError):
            pass  # it was no HTTP any more
        finally:
            connection.close()
    assert client.emulator.process.poll() is None
    assert client.ok("GET", "/folders/0")["id"] == "0"


sys.exit(main([mutated], "--set", "session_least=0", "--set", "poll_seconds=1"))
