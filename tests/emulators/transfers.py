#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Uploads, upload sessions and downloads."""

import hashlib
import http.client
import json
import sys
import urllib.parse

from emulator import Emulator, Client, digest, main, multipart, send

PART = 1 << 20


def made_up(size):
    return bytes((i * 31 + i // 256) % 256 for i in range(65536)) * (size // 65536 + 1)


def uploads(client):
    for part in ("file", "contents", "anything"):
        assert client.upload("as " + part, b"data", part=part)["size"] == 4
    empty = client.upload("empty", b"")
    assert empty["size"] == 0 and empty["sha1"] == hashlib.sha1(b"").hexdigest()
    assert client.download(empty["id"]).body == b""
    # What looks like a delimiter, at every length.
    tricky = b"\r\n--x-boundary-" + b"\r\n--x-boundary-x"[:-1] + b"\r\r\n\r\n-" + b"\r\n--x-boundary-y" + b"\n--x-boundary-x--"
    for cut in range(len(tricky)):
        file = client.upload(f"tricky {cut}", tricky[:cut])
        assert file["sha1"] == hashlib.sha1(tricky[:cut]).hexdigest(), cut
    assert client.download(file["id"]).body == tricky[:cut]
    dated = client.upload("dated", b"d", attributes={"content_created_at": "2001-01-01T00:00:00Z",
                                                     "content_modified_at": "2002-02-02T00:00:00.5+01:00"})
    assert dated["content_created_at"] == "2000-12-31T16:00:00-08:00", dated
    assert dated["content_modified_at"] == "2002-02-01T15:00:00-08:00", dated
    sha1 = hashlib.sha1(b"checked").hexdigest()
    client.upload("checked", b"checked", Content_MD5=sha1)
    assert client.upload("wrong", b"other", Content_MD5=sha1, status=400)["code"] == "bad_digest"
    answer = client.call("POST", "/files/content", multipart('{"name":"x","parent":{"id":"0"}}', b"x", order=("file", "attributes")),
                         base=client.upload_base, Content_Type="multipart/form-data; boundary=x-boundary-x")
    assert answer.status == 400 and answer.json["code"] == "metadata_after_file_contents", answer.text
    for body, kind in ((b"x", "text/plain"), (b"--b\r\n\r\n", "multipart/form-data; boundary=b"), (b"", "multipart/form-data"),
                       (multipart("no json", b"x"), "multipart/form-data; boundary=x-boundary-x"),
                       (multipart("{}", b"x")[:-10], "multipart/form-data; boundary=x-boundary-x"),
                       (multipart("[]", b"x"), "multipart/form-data; boundary=" + "y" * 300)):
        answer = client.call("POST", "/files/content", body, base=client.upload_base, Content_Type=kind)
        assert answer.status == 400, (kind, answer.text)
    assert "x" not in client.names() and "wrong" not in client.names()


def chunked_encoding(client):
    body = multipart('{"name":"chunked","parent":{"id":"0"}}', b"y" * 100000)
    pieces = (body[at : at + 777] for at in range(0, len(body), 777))
    answer = client.call("POST", "/files/content", pieces, base=client.upload_base,
                         Content_Type="multipart/form-data; boundary=x-boundary-x")
    assert answer.status == 201 and answer.json["entries"][0]["size"] == 100000, answer.text


def preflight(client):
    body = {"name": "p", "size": 10, "parent": {"id": "0"}}
    said = client.ok("OPTIONS", "/files/content", body)
    assert "/api/2.0/files/content" in said["upload_url"] and said["upload_token"]
    answer = client.call("POST", said["upload_url"], multipart(json.dumps(body), b"x" * 10),
                         Content_Type="multipart/form-data; boundary=x-boundary-x")
    assert answer.status == 201, answer.text
    client.error(409, "item_name_in_use", "OPTIONS", "/files/content/", body)
    file = answer.json["entries"][0]["id"]
    client.ok("OPTIONS", f"/files/{file}/content", {"size": 10})
    client.error(404, "not_found", "OPTIONS", "/files/content", {**body, "parent": {"id": "5"}})


def downloads(client):
    content = made_up(300000)[:300000]
    file = client.upload("d", content)["id"]
    redirect = client.ok("GET", f"/files/{file}/content", status=302)
    location = redirect.headers["Location"]
    assert urllib.parse.urlsplit(location).hostname != urllib.parse.urlsplit(client.api).hostname, location
    # The URL needs no token.
    whole = send(location)
    assert whole.status == 200 and whole.body == content and whole.headers["Accept-Ranges"] == "bytes"
    for text, first, last in (("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=299990-", 299990, 299999),
                              ("bytes=-5", 299995, 299999), ("bytes=299999-400000", 299999, 299999),
                              ("bytes=-999999", 0, 299999)):
        got = send(location, headers={"Range": text})
        assert got.status == 206 and got.body == content[first : last + 1], text
        assert got.headers["Content-Range"] == f"bytes {first}-{last}/300000", text
    for text in ("bytes=300000-", "bytes=-0"):
        got = send(location, headers={"Range": text})
        assert got.status == 416 and got.headers["Content-Range"] == "bytes */300000", text
    for text in ("bytes=5-4", "bytes=a-b", "lines=1-2", "bytes=1-2,5-6", "bytes=-", "bytes=99999999999999999999999-"):
        assert send(location, headers={"Range": text}).status == 200, text
    # It is signed, and lives for a while only.
    mark = location.index("/download")
    forged = location[: mark - 1] + ("0" if location[mark - 1] != "0" else "1") + location[mark:]
    assert send(forged).status == 404
    assert send(location.replace("/d/1/", "/d/1/9")).status == 404
    client.emulator.control("POST", "clock", {"advance": 901})
    assert send(location).status == 404
    odd = client.upload('na"me\\ü'.replace("\\", "") + ".txt", b"1")["id"]
    assert "filename*=UTF-8''na%22me%C3%BC.txt" in client.download(odd).headers["Content-Disposition"]


def large_files(client):
    """What is large passes through without being held in memory."""
    size = 64 << 20
    block = made_up(1 << 20)[: 1 << 20]

    def body():
        head, tail = multipart('{"name":"large","parent":{"id":"0"}}', b"SPLIT").split(b"SPLIT")
        yield head
        for _ in range(size >> 20):
            yield block
        yield tail

    answer = client.call("POST", "/files/content", body(), base=client.upload_base,
                         Content_Type="multipart/form-data; boundary=x-boundary-x")
    assert answer.status == 201 and answer.json["entries"][0]["size"] == size, answer.text
    got = client.download(answer.json["entries"][0]["id"])
    assert len(got.body) == size and hashlib.sha1(got.body).hexdigest() == answer.json["entries"][0]["sha1"]
    status = open(f"/proc/{client.emulator.process.pid}/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0])
    print("     peak memory", peak >> 10, "MB")


class Session:
    def __init__(self, client, content, name="session", parent="0", file=None, digest_of=None):
        self.client, self.content = client, content
        path = f"/files/{file}/upload_sessions" if file else "/files/upload_sessions"
        body = {"file_size": len(content)} if file else {"folder_id": parent, "file_size": len(content), "file_name": name}
        self.said = client.ok("POST", path, body, status=201, base=client.upload_base)
        self.ends = self.said["session_endpoints"]

    def put(self, number, content=None, status=200, **headers):
        size = self.said["part_size"]
        data = self.content[number * size : (number + 1) * size] if content is None else content
        first = number * size
        all_headers = {"Digest": digest(data), "Content_Range": f"bytes {first}-{first + len(data) - 1}/{len(self.content)}"}
        all_headers.update(headers)
        answer = self.client.call("PUT", self.ends["upload_part"], data, **all_headers)
        assert answer.status == status, f"{answer.status} instead of {status}: {answer.text}"
        return answer.json["part"] if status == 200 else answer.json

    def parts(self, query=""):
        return self.client.ok("GET", self.ends["list_parts"] + query)

    def commit(self, parts, status=201, content=None, attributes=None, **headers):
        body = {"parts": parts, "attributes": attributes or {}}
        answer = self.client.call("POST", self.ends["commit"], body, Digest=digest(content or self.content), **headers)
        assert answer.status == status, f"{answer.status} instead of {status}: {answer.text}"
        return answer.json["entries"][0] if status == 201 else answer


def sessions(client):
    content = made_up(5 * PART + 1234)[: 5 * PART + 1234]
    session = Session(client, content)
    assert session.said["part_size"] == PART and session.said["total_parts"] == 6
    # In any order; the last one is smaller.
    parts = {number: session.put(number) for number in (5, 0, 3, 1)}
    assert parts[5]["size"] == 1234 and parts[5]["offset"] == 5 * PART
    assert parts[3]["sha1"] == hashlib.sha1(content[3 * PART : 4 * PART]).hexdigest()
    assert session.put(3) == parts[3], "the same part again is no harm"
    assert session.put(3, content[1 : PART + 1], status=409)["code"] == "conflict"
    assert session.put(2, Digest=digest(b"other"), status=400)["code"] == "bad_digest"
    assert session.put(2, Digest="md5=x", status=400)
    assert session.put(2, Content_Range="bytes 5-10/20", status=416)["code"] == "range_not_satisfiable"
    assert session.put(2, content[: PART - 1], status=416)
    assert session.put(2, Content_Range=f"bytes {2 * PART}-{3 * PART - 1}/7", status=416)
    assert session.put(2, b"short", Content_Range=f"bytes {2 * PART}-{3 * PART - 1}/{len(content)}", status=412)
    assert session.put(2, Content_Range="nonsense", status=400)
    listed = session.parts()
    assert listed["total_count"] == 4 and [one["offset"] // PART for one in listed["entries"]] == [0, 1, 3, 5]
    assert [one["offset"] // PART for one in session.parts("?offset=2&limit=1")["entries"]] == [3]
    assert client.ok("GET", session.ends["status"])["num_parts_processed"] == 4
    assert session.commit(listed["entries"], status=409).json["code"] == "parts_missing"
    session.put(2)
    session.put(4)
    every = session.parts()["entries"]
    assert session.commit(every[:-1], status=400).json["code"] == "invalid_parts"
    assert session.commit(list(reversed(every)), status=400)
    assert session.commit(every, content=b"other", status=400).json["code"] == "bad_digest"
    file = session.commit(every, attributes={"content_modified_at": "2003-03-03T00:00:00Z"})
    assert file["size"] == len(content) and file["sha1"] == hashlib.sha1(content).hexdigest()
    assert file["content_modified_at"] == "2003-03-02T16:00:00-08:00"
    assert client.download(file["id"]).body == content
    assert client.call("GET", session.ends["status"]).status == 404
    # A new version of it.
    again = made_up(PART * 2)[7 : PART * 2 + 7]
    session = Session(client, again, file=file["id"])
    every = [session.put(0), session.put(1)]
    assert session.commit(every, status=412, If_Match="7").json["code"] == "precondition_failed"
    newer = session.commit(every, If_Match="0")
    assert newer["id"] == file["id"] and newer["etag"] == "1" and client.download(file["id"]).body == again


def session_ends(client):
    content = made_up(PART * 2)[: PART * 2]
    base = client.upload_base
    small = {"folder_id": "0", "file_size": 10, "file_name": "s"}
    client.error(400, "file_size_too_small", "POST", "/files/upload_sessions", small, base=base)
    client.error(400, "missing_destination", "POST", "/files/upload_sessions", {"file_size": PART}, base=base)
    client.error(404, "not_found", "POST", "/files/upload_sessions", {**small, "folder_id": "5"}, base=base)
    client.error(400, "bad_request", "POST", "/files/upload_sessions", {"folder_id": "0", "file_name": "s"}, base=base)
    client.error(403, "file_size_limit_exceeded", "POST", "/files/upload_sessions", {**small, "file_size": 151 << 30}, base=base)
    session = Session(client, content, "aborted")
    session.put(0)
    client.ok("DELETE", session.ends["abort"], status=204)
    session.put(0, status=404)
    # The name is taken meanwhile.
    session = Session(client, content, "raced")
    every = [session.put(0), session.put(1)]
    client.upload("RACED", b"first")
    assert session.commit(every, status=409).json["code"] == "item_name_in_use"
    # The server needs time.
    client.emulator.control("PUT", "settings", {"commit_waits": 2})
    session = Session(client, content, "slow")
    every = [session.put(0), session.put(1)]
    for _ in range(2):
        assert session.commit(every, status=202).headers["Retry-After"] == "1"
    session.commit(every)
    client.emulator.control("PUT", "settings", {"commit_waits": 0})
    session = Session(client, content, "expired")
    session.put(0)
    client.emulator.control("POST", "clock", {"advance": 7 * 86400 + 1})
    assert session.put(1, status=410)["code"] == "session_expired"
    assert client.call("GET", session.ends["status"]).status == 410
    client.emulator.control("POST", "clock", {"advance": 86400})
    Session(client, content, "another")
    assert client.call("GET", session.ends["status"]).status == 404
    assert len(list((client.emulator.data / "sessions").iterdir())) == 0


def session_restart(client):
    """A session and its parts outlive the server."""
    content = made_up(PART * 2)[: PART * 2]
    emulator = Emulator(sys.argv[1], "--set", f"part_size={PART}", "--set", "session_least=0")
    session = Session(Client(emulator), content)
    first = session.put(0)
    path = urllib.parse.urlsplit(session.ends["status"]).path
    emulator.kill()
    emulator.start()
    fresh = Client(emulator)
    said = send(fresh.emulator.endpoints["http"]["base"] + path, headers={"Authorization": "Bearer " + fresh.token}).json
    session.client, session.ends = fresh, said["session_endpoints"]
    assert session.parts()["entries"] == [first]
    assert fresh.download(session.commit([first, session.put(1)])["id"]).body == content
    emulator.stop()


def raw_http(client):
    """Half a request, and a client that goes in the middle of a body, harm nobody."""
    port = int(client.emulator.endpoints["http"]["base"].rsplit(":", 1)[1])
    for sent in (b"POST /api/2.0/files/content HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nabc",
                 b"GET /2.0/folders/0", b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n"):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.connect()
        connection.sock.sendall(sent)
        connection.close()
    assert client.ok("GET", "/folders/0")["id"] == "0"
    answer = send(client.api + "/events", "OPTIONS", headers={"Authorization": "Bearer " + client.token, "Host": "evil\"host"})
    assert answer.status == 500, answer.text


sys.exit(main([uploads, chunked_encoding, preflight, downloads, large_files, sessions, session_ends, session_restart,
               raw_http], "--set", f"part_size={PART}", "--set", "session_least=1000000"))
