#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What control.sh sends to a real service. Usage: control.py SOCKET hostile|other-user"""
import json
import os
import socket
import sys


def connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(path)
    return connection


def ask(path, data):
    """Send bytes; the answers, parsed, until the service closes or has answered once."""
    with connect(path) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # it may have answered and hung up before it had read everything
        try:
            line = connection.makefile("rb").readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None


def call(path, method, params=None):
    request = {"jsonrpc": "2.0", "id": 1, "method": method}
    if params is not None:
        request["params"] = params
    return ask(path, json.dumps(request).encode() + b"\n")


def hostile(path):
    codes = {
        b"garbage\n": -32700,
        b"\xff\xfe\x00\n": -32700,
        b"[" * 60000 + b"\n": -32700,
        b"[]\n": -32600,
        b'{"jsonrpc":"2.0","id":1,"method":"nothing"}\n': -32601,
        b'{"jsonrpc":"2.0","id":1,"method":"list","params":[]}\n': -32602,
        b'{"jsonrpc":"2.0","id":1,"method":"list","params":{"a":1}}\n': -32602,
        b'{"jsonrpc":"2.0","id":1,"method":"unmap"}\n': -32602,
        b'{"jsonrpc":"2.0","id":1,"method":"unmap","params":{"target":7}}\n': -32602,
        b'{"jsonrpc":"2.0","id":1,"method":"map","params":{"target":"x","source":"memory:"}}\n': -32000,
        b'{"jsonrpc":"2.0","id":1,"method":"map","params":{"target":"/x","source":"memory:","since":1}}\n': -32000,
    }
    for data, code in codes.items():
        answer = ask(path, data)
        assert answer and answer["error"]["code"] == code, (data[:80], answer)
        assert "\n" not in answer["error"]["message"], answer
    answer = ask(path, b"x" * 70000 + b"\n")
    assert answer is None or answer["error"]["data"]["name"] == "E2BIG", answer

    # Silent ones, and those that never read: as many as it takes, and the service answers all the same.
    silent = [connect(path) for _ in range(20)]
    for connection in silent[:10]:
        connection.send(b'{"jsonrpc":"2.0",')
    for connection in silent[10:]:
        for _ in range(50):
            connection.send(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
    answer = call(path, "version")
    assert answer and answer["result"]["service_pid"] > 0, answer
    for connection in silent:
        connection.close()

    # A notification is not answered; what follows it is.
    with connect(path) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","method":"list"}\n{"jsonrpc":"2.0","id":"z","method":"version"}\n')
        assert json.loads(connection.makefile("rb").readline())["id"] == "z"

    answer = call(path, "providers")
    names = [provider["name"] for provider in answer["result"]["providers"]]
    assert "memory" in names and "local" in names, names
    status = call(path, "status")["result"]
    for member in ("keeper_pid", "service_pid", "version", "transport", "drives"):
        assert member in status, status
    for member in ("target", "source", "label", "transport", "state"):
        assert member in status["drives"][0], status


def other_user(path):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    answer = call(path, "list")
    assert answer and answer["error"]["data"]["name"] == "EPERM", answer
    assert "another user" in answer["error"]["message"], answer


{"hostile": hostile, "other-user": other_user}[sys.argv[2]](sys.argv[1])
