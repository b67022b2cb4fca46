#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Events and the long poll, changes by others, and every fault of the control interface."""

import email.utils
import http.client
import socket
import sys
import threading
import time
import urllib.parse

from emulator import main, send


def position(client):
    return client.ok("GET", "/events?stream_position=now")["next_stream_position"]


def since(client, at):
    return client.ok("GET", f"/events?stream_type=changes&stream_position={at}&limit=500")


def events(client):
    at = position(client)
    assert isinstance(at, int)
    folder = client.folder("f")
    file = client.upload("a", b"1", folder["id"])
    client.new_version(file["id"], b"2")
    client.ok("PUT", f"/files/{file['id']}", {"name": "b"})
    client.ok("DELETE", f"/files/{file['id']}", status=204)
    said = since(client, at)
    assert [one["event_type"] for one in said["entries"]] == ["ITEM_CREATE", "ITEM_UPLOAD", "ITEM_UPLOAD", "ITEM_RENAME", "ITEM_TRASH"]
    assert said["chunk_size"] == 5 and len({one["event_id"] for one in said["entries"]}) == 5
    rename = said["entries"][3]["source"]
    assert rename["name"] == "b" and rename["etag"] == "2" and rename["parent"]["id"] == folder["id"], rename
    first = client.ok("GET", f"/events?stream_position={at}&limit=2")
    assert len(first["entries"]) == 2
    rest = since(client, first["next_stream_position"])
    assert len(rest["entries"]) == 3 and rest["next_stream_position"] == said["next_stream_position"]
    assert since(client, said["next_stream_position"])["entries"] == []
    client.emulator.control("PUT", "settings", {"position_text": 1})
    assert isinstance(position(client), str)
    client.emulator.control("PUT", "settings", {"position_text": 0})
    client.error(400, "bad_request", "GET", "/events?stream_position=never")
    # What is refused makes no event.
    at = position(client)
    client.error(409, "item_name_in_use", "POST", "/folders", {"name": "F", "parent": {"id": "0"}})
    assert since(client, at)["entries"] == []


def long_poll(client):
    server = client.ok("OPTIONS", "/events")["entries"][0]
    assert server["type"] == "realtime_server" and server["retry_timeout"] == 610 and server["max_retries"] == "10"
    at = position(client)
    threading.Timer(0.3, lambda: client.folder("made")).start()
    began = time.monotonic()
    assert send(server["url"] + f"&stream_position={at}").json["message"] == "new_change"
    assert time.monotonic() - began >= 0.2
    # A change that came before the poll is told at once.
    assert send(server["url"] + f"&stream_position={at}").json["message"] == "new_change"
    client.emulator.control("PUT", "settings", {"poll_seconds": 1})
    assert send(server["url"] + f"&stream_position={position(client)}").json["message"] == "reconnect"
    client.emulator.control("PUT", "settings", {"poll_seconds": 610})
    # A poll that goes on does not keep the server from ending: the end of this file sees to that.
    socket_ = socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(server["url"]).port))
    target = server["url"].split("/", 3)[3]
    socket_.sendall(f"GET /{target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    client.left_open = socket_


def others(client):
    """What somebody else does arrives as events, by their name."""
    change = lambda **body: client.emulator.control("POST", "changes", body)
    at = position(client)
    change(op="upload", path="/shared/note.txt", content="hello")
    change(op="upload", path="/shared/note.txt", size=10000)
    change(op="mkdir", path="/shared/deeper")
    change(op="move", path="/shared/note.txt", to="/shared/deeper/renamed.txt")
    entries = since(client, at)["entries"]
    assert [one["event_type"] for one in entries] == ["ITEM_UPLOAD", "ITEM_UPLOAD", "ITEM_CREATE", "ITEM_MOVE", "ITEM_RENAME"]
    assert entries[0]["created_by"]["id"] != client.ok("GET", "/users/me")["id"], entries[0]
    tree = {one["path"]: one for one in client.emulator.control("GET", "tree")["entries"]}
    assert set(tree) == {"/shared", "/shared/deeper", "/shared/deeper/renamed.txt"}, tree
    assert client.download(tree["/shared/deeper/renamed.txt"]["id"]).body == b"x" * 10000
    change(op="delete", path="/shared/deeper")
    assert [one["path"] for one in client.emulator.control("GET", "tree")["trash"]] == ["/deeper"]
    change(op="purge", path="/shared")
    assert client.emulator.control("GET", "tree")["entries"] == []


def broken(call):
    """How a call breaks off: the exception's kind."""
    try:
        answer = call()
    except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
        return type(error).__name__, error
    raise AssertionError(f"it went through: {answer.status}")


def statuses(client):
    fault = client.emulator.fault
    for status in (429, 500, 502, 503):
        fault("status", status=status, retry_after=7, times=2, match={"kind": "folder.get"})
        for _ in range(2):
            answer = client.call("GET", "/folders/0")
            assert answer.status == status and answer.headers["Retry-After"] == "7" and answer.json["type"] == "error"
        assert client.call("GET", "/folders/0").status == 200
    fault("status", status=409, code="operation_blocked_temporary", after=1, times=1, match={"method": "POST", "path": "/folders$"})
    client.folder("first")
    client.error(409, "operation_blocked_temporary", "POST", "/folders", {"name": "second", "parent": {"id": "0"}})
    client.folder("second")
    file = client.upload("a", b"1")["id"]
    fault("accepted", retry_after=3, times=1, match={"kind": "file.content"})
    answer = client.call("GET", f"/files/{file}/content")
    assert answer.status == 202 and answer.headers["Retry-After"] == "3"
    fault("expired_token", times=1)
    assert client.call("GET", "/folders/0").status == 401
    assert client.download(file).body == b"1"


def resets(client):
    fault = client.emulator.fault
    fault("reset_before", times=1, match={"kind": "folder.create"})
    name, _ = broken(lambda: client.folder("before"))
    assert name == "ConnectionResetError", name
    assert client.names() == []
    fault("reset_after", times=1, match={"kind": "folder.create"})
    broken(lambda: client.folder("after"))
    assert client.names() == ["after"]
    content = bytes(range(256)) * 4000
    file = client.upload("file", content)["id"]
    fault("reset_body", at=500000, times=1, match={"kind": "data"})
    name, error = broken(lambda: client.download(file))
    assert name in ("ConnectionResetError", "IncompleteRead"), name
    fault("truncate", at=400000, times=1, match={"kind": "data"})
    name, error = broken(lambda: client.download(file))
    assert name == "IncompleteRead" and error.partial == content[:400000], name
    fault("corrupt", at=12345, times=1, match={"kind": "data"})
    got = client.download(file).body
    assert [at for at in range(len(content)) if got[at] != content[at]] == [12345]
    fault("reset_upload", at=100000, times=1, match={"kind": "file.upload"})
    broken(lambda: client.upload("never", content))
    assert client.download(file).body == content and "never" not in client.names()


def slowness(client):
    fault = client.emulator.fault
    file = client.upload("file", b"z" * 300000)["id"]

    def took(call):
        began = time.monotonic()
        call()
        return time.monotonic() - began

    fault("latency", ms=150, match={"kind": "folder.get"})
    assert took(lambda: client.ok("GET", "/folders/0")) >= 0.15
    fault("stall", seconds=1, times=1, match={"kind": "file.get"})
    assert took(lambda: client.ok("GET", f"/files/{file}")) >= 1
    fault("stall", seconds=1, at=1000, times=1, match={"kind": "data"})
    assert took(lambda: client.download(file)) >= 1
    client.emulator.control("DELETE", "faults")
    fault("bandwidth", bytes_per_second=1000000)
    assert took(lambda: client.download(file)) >= 0.25
    assert took(lambda: client.upload("up", b"z" * 300000)) >= 0.25
    # All connections share the line.
    threads = [threading.Thread(target=client.download, args=(file,)) for _ in range(3)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.8
    assert client.emulator.control("GET", "faults")["faults"][0]["fault"] == "bandwidth"
    # What waits for a line that is almost closed goes on when it is opened.
    client.emulator.control("DELETE", "faults")
    fault("bandwidth", bytes_per_second=10)
    thread = threading.Thread(target=client.download, args=(file,))
    thread.start()
    time.sleep(0.3)
    client.emulator.control("DELETE", "faults")
    thread.join(60)
    assert not thread.is_alive()
    client.emulator.control("DELETE", "faults")
    fault("skew", seconds=-7200)
    date = email.utils.parsedate_to_datetime(client.call("GET", "/folders/0").headers["Date"]).timestamp()
    assert -7210 < date - client.emulator.control("POST", "clock", {"advance": 0})["now"] < -7190


def independence(client):
    """A download that stalls, and a network that is gone for some calls, hold up nothing else."""
    file = client.upload("file", b"z" * 100000)["id"]
    drop = client.emulator.fault("drop", match={"kind": "data"})
    results = []
    threads = [threading.Thread(target=lambda: results.append(broken(lambda: client.download(file)))) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    client.ok("GET", "/folders/0")
    client.upload("other", b"1")
    assert time.monotonic() - began < 30 and not results
    client.emulator.control("DELETE", f"faults/{drop}")
    for thread in threads:
        thread.join()
    assert {one[0] for one in results} == {"ConnectionResetError"} and len(results) == 20
    assert client.download(file).status == 200
    try:
        client.emulator.control("DELETE", f"faults/{drop}")
        raise AssertionError("it was removed twice")
    except RuntimeError:
        pass


def counting(client):
    control = client.emulator.control
    control("DELETE", "counters")
    control("POST", "recording", {"on": True})
    client.download(client.upload("a", b"12345")["id"])
    client.call("GET", "/nothing")
    counts = control("GET", "counters")
    assert counts["calls"] == {"file.upload": 1, "file.content": 1, "data": 1, "unknown": 1} and counts["total"] == 4, counts
    calls = control("GET", "recording")["calls"]
    assert [(one["method"], one["status"]) for one in calls] == [("POST", 201), ("GET", 302), ("GET", 200), ("GET", 404)]
    assert calls[2]["sent"] == 5
    control("POST", "recording", {"on": False})
    for bad in ({"fault": "fire"}, {"fault": "latency"}, {"fault": "status", "status": 99}, {"fault": "latency", "ms": -5},
                {"fault": "latency", "ms": 1, "match": {"path": "("}}, {"fault": "latency", "ms": 1, "match": {"kind": "k" * 99}}):
        answer = send(client.emulator.endpoints["control"] + "/faults", "POST", __import__("json").dumps(bad))
        assert answer.status == 400, bad
    base = client.emulator.endpoints["control"].rsplit("/", 1)[0]
    assert send(base + "/wrong/settings").status == 403 and send(base + "/" + "0" * 32 + "/settings").status == 403
    assert send(client.emulator.endpoints["http"]["base"] + "/emulator/x/settings").status == 404


sys.exit(main([events, others, statuses, resets, slowness, independence, counting, long_poll]))
