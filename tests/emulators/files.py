#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files and folders: listings, names, changes, conflicts, trash, versions, metadata, shared links, quota."""

import json
import sys

from emulator import Client, Emulator, main, send


def listings(client):
    for i in range(7):
        client.upload(f"file {i}", b"x" * i)
    for i in range(3):
        client.folder(f"Folder {i}")
    seen, marker = [], ""
    pages = 0
    while True:
        page = client.ok("GET", f"/folders/0/items?usemarker=true&limit=4&marker={marker}&fields=name,size,sha1")
        seen += page["entries"]
        pages += 1
        marker = page["next_marker"]
        if not marker:
            break
    assert pages == 3 and len(seen) == 10, (pages, len(seen))
    assert [one["type"] for one in seen] == ["folder"] * 3 + ["file"] * 7
    assert len({one["id"] + one["type"] for one in seen}) == 10
    assert all(set(one) == {"type", "id", "etag", "name", "size"} | ({"sha1"} if one["type"] == "file" else set()) for one in seen)
    # Ids of files and of folders are numbered apart.
    assert {one["id"] for one in seen if one["type"] == "file"}
    page = client.ok("GET", "/folders/0/items?limit=4&offset=8")
    assert page["total_count"] == 10 and len(page["entries"]) == 2 and page["offset"] == 8
    assert [one["name"] for one in client.ok("GET", "/folders/0/items?direction=DESC")["entries"]][:4] == [
        "Folder 2", "Folder 1", "Folder 0", "file 6"]
    # A whole page that is the last one has no marker.
    assert client.ok("GET", "/folders/0/items?usemarker=true&limit=10")["next_marker"] is None
    client.error(400, "bad_request", "GET", "/folders/0/items?usemarker=true&marker=nonsense")
    client.error(400, "bad_request", "GET", "/folders/0/items?limit=minus")
    client.error(400, "bad_request", "GET", "/folders/0/items?offset=300001")
    client.error(404, "not_found", "GET", "/folders/99/items")
    root = client.ok("GET", "/folders/0")
    assert root["etag"] is None and root["parent"] is None and root["item_collection"]["total_count"] == 10


def names(client):
    client.upload("Straße.TXT", b"1")
    for taken in ("straße.txt", "STRASSE.txt".replace("SS", "ß"), "STRAßE.TXT"):
        client.upload(taken, b"2", status=409)
    client.error(409, "item_name_in_use", "POST", "/folders", {"name": "straße.Txt", "parent": {"id": "0"}})
    client.folder("Über")
    client.error(409, "item_name_in_use", "POST", "/folders", {"name": "ÜBER", "parent": {"id": "0"}})
    for bad in ("", ".", "..", "a/b", "a\\b", "end ", "tab\t", "new\nline", "bell\x07", "del\x7f"):
        client.error(400, "item_name_invalid", "POST", "/folders", {"name": bad, "parent": {"id": "0"}})
    client.error(400, "item_name_too_long", "POST", "/folders", {"name": "x" * 256, "parent": {"id": "0"}})
    client.folder("x" * 255)
    client.folder("𝒳" * 255)
    for good in (" leading", "dot.", "...", "a:b", 'q"uote', "<>|*?", "percent%20", "emoji 🎈"):
        assert client.folder(good)["name"] == good
    client.error(400, "bad_request", "POST", "/folders", {"parent": {"id": "0"}})
    client.error(400, "bad_request", "POST", "/folders", {"name": "no parent"})
    client.error(404, "not_found", "POST", "/folders", {"name": "lost", "parent": {"id": "77"}})
    client.error(400, "bad_request", "POST", "/folders", "no json")


def conflicts(client):
    file = client.upload("a", b"1")
    said = client.upload("A", b"2", status=409)
    assert said["code"] == "item_name_in_use" and said["context_info"]["conflicts"]["id"] == file["id"], said
    client.emulator.control("PUT", "settings", {"conflict_array": 1})
    said = client.upload("A", b"2", status=409)
    assert said["context_info"]["conflicts"][0]["id"] == file["id"], said
    client.emulator.control("PUT", "settings", {"conflict_array": 0})
    folder = client.folder("F")
    said = client.error(409, "item_name_in_use", "POST", "/folders", {"name": "f", "parent": {"id": "0"}})
    assert said["context_info"]["conflicts"][0]["id"] == folder["id"], said


def etags(client):
    file = client.upload("a", b"1")
    assert file["etag"] == "0" and file["sequence_id"] == "0"
    path = f"/files/{file['id']}"
    assert client.ok("PUT", path, {"name": "b"}, If_Match="0")["etag"] == "1"
    client.error(412, "precondition_failed", "PUT", path, {"name": "c"}, If_Match="0")
    client.error(412, "precondition_failed", "DELETE", path, If_Match='"0"')
    assert client.ok("PUT", path, {"name": "c"}, If_Match='"1"')["sequence_id"] == "2"
    assert client.call("GET", path, If_None_Match="2").status == 304
    assert client.call("GET", path, If_None_Match='"2"').status == 304
    assert client.ok("GET", path, If_None_Match="1")["etag"] == "2"
    client.new_version(file["id"], b"2", status=412, If_Match="1")
    assert client.new_version(file["id"], b"2", If_Match="2")["etag"] == "3"
    folder = client.folder("f")
    client.error(412, "precondition_failed", "PUT", f"/folders/{folder['id']}", {"name": "g"}, If_Match="5")
    client.error(412, "precondition_failed", "DELETE", f"/folders/{folder['id']}", If_Match="5")
    client.ok("DELETE", path, status=204, If_Match="3")


def moves(client):
    a, b = client.folder("a"), client.folder("b")
    inner = client.folder("inner", a["id"])
    file = client.upload("x", b"1", inner["id"])
    moved = client.ok("PUT", f"/folders/{inner['id']}", {"parent": {"id": b["id"]}, "name": "renamed"})
    assert [one["name"] for one in moved["path_collection"]["entries"]] == ["All Files", "b"]
    got = client.ok("GET", f"/files/{file['id']}?fields=path_collection,name")
    assert [one["name"] for one in got["path_collection"]["entries"]] == ["All Files", "b", "renamed"]
    client.error(400, "cyclical_folder_structure", "PUT", f"/folders/{b['id']}", {"parent": {"id": inner["id"]}})
    client.error(403, "access_denied_insufficient_permissions", "PUT", "/folders/0", {"name": "x"})
    client.upload("x", b"2", b["id"])
    client.error(409, "item_name_in_use", "PUT", f"/files/{file['id']}", {"parent": {"id": b["id"]}})
    # Only the case of a name changes: that is no conflict with itself.
    assert client.ok("PUT", f"/files/{file['id']}", {"name": "X"})["name"] == "X"
    times = client.ok("PUT", f"/files/{file['id']}", {"content_modified_at": "2001-02-03T04:05:06.789+02:00"})
    assert times["content_modified_at"] == "2001-02-02T18:05:06-08:00", times
    client.error(400, "bad_request", "PUT", f"/files/{file['id']}", {"content_modified_at": "yesterday"})


def copies(client):
    folder = client.folder("source")
    inner = client.folder("inner", folder["id"])
    for i in range(5):
        client.upload(f"{i}", b"%d" % i, inner["id"])
    gone = client.upload("gone", b"g", inner["id"])
    client.ok("DELETE", f"/files/{gone['id']}", status=204)
    used = client.ok("GET", "/users/me")["space_used"]
    copy = client.ok("POST", f"/folders/{folder['id']}/copy", {"parent": {"id": "0"}, "name": "target"}, status=201)
    client.error(409, "item_name_in_use", "POST", f"/folders/{folder['id']}/copy", {"parent": {"id": "0"}})
    inner_copy = client.ok("GET", f"/folders/{copy['id']}/items")["entries"][0]
    entries = client.ok("GET", f"/folders/{inner_copy['id']}/items")["entries"]
    assert [one["name"] for one in entries] == ["0", "1", "2", "3", "4"], entries
    assert client.download(entries[3]["id"]).body == b"3"
    assert client.ok("GET", "/users/me")["space_used"] == used + 5
    client.error(400, "cyclical_folder_structure", "POST", f"/folders/{folder['id']}/copy",
                 {"parent": {"id": inner["id"]}, "name": "y"})
    again = client.ok("POST", f"/files/{entries[0]['id']}/copy", {"parent": {"id": "0"}, "name": "single"}, status=201)
    client.new_version(entries[0]["id"], b"changed")
    assert client.download(again["id"]).body == b"0"


def deletes(client):
    folder = client.folder("f")
    file = client.upload("x", b"12345", folder["id"])
    client.error(400, "folder_not_empty", "DELETE", f"/folders/{folder['id']}")
    client.ok("DELETE", f"/folders/{folder['id']}?recursive=true", status=204)
    client.error(404, "trashed", "GET", f"/folders/{folder['id']}")
    client.error(404, "trashed", "GET", f"/files/{file['id']}")
    client.error(404, "trashed", "GET", f"/files/{file['id']}/content")
    trash = client.ok("GET", "/folders/trash/items?fields=name,item_status,trashed_at")
    assert [one["name"] for one in trash["entries"]] == ["f"] and trash["entries"][0]["item_status"] == "trashed"
    assert trash["entries"][0]["trashed_at"]
    # The name is free, and what is in the trash counts.
    used = client.ok("GET", "/users/me")["space_used"]
    client.folder("F")
    client.error(409, "item_name_in_use", "POST", f"/folders/{folder['id']}", {})
    back = client.ok("POST", f"/folders/{folder['id']}", {"name": "back", "parent": {"id": "0"}}, status=201)
    assert back["item_status"] == "active" and client.download(file["id"]).body == b"12345"
    client.error(404, "not_found", "POST", f"/folders/{folder['id']}", {})
    client.ok("DELETE", f"/folders/{folder['id']}?recursive=true", status=204)
    assert client.ok("GET", f"/folders/{folder['id']}/trash")["name"] == "back"
    assert client.ok("GET", "/users/me")["space_used"] == used
    client.ok("DELETE", f"/folders/{folder['id']}/trash", status=204)
    assert client.ok("GET", "/users/me")["space_used"] == used - 5
    client.error(404, "not_found", "GET", f"/files/{file['id']}")
    # Put back where it was, unless that is gone.
    parent = client.folder("parent")
    child = client.upload("child", b"c", parent["id"])
    client.ok("DELETE", f"/files/{child['id']}", status=204)
    client.ok("DELETE", f"/folders/{parent['id']}", status=204)
    client.error(403, "forbidden", "POST", f"/files/{child['id']}", {})
    restored = client.ok("POST", f"/files/{child['id']}", {"parent": {"id": "0"}}, status=201)
    assert restored["parent"]["id"] == "0"
    page = client.ok("GET", "/folders/trash/items?usemarker=true&limit=1")
    assert len(page["entries"]) == 1


def versions(client):
    file = client.upload("v", b"one")["id"]
    client.new_version(file, b"two")
    client.new_version(file, b"three", attributes={"name": "renamed"})
    assert client.ok("GET", f"/files/{file}?fields=name,version_number") ["version_number"] == "3"
    old = client.ok("GET", f"/files/{file}/versions")
    assert [one["version_number"] for one in old["entries"]] == ["2", "1"] and old["total_count"] == 2
    first = old["entries"][1]
    assert client.download(file, f"?version={first['id']}").body == b"one"
    client.error(404, "not_found", "GET", f"/files/{file}/content?version=999999")
    assert client.ok("GET", f"/files/{file}/versions/{first['id']}")["sha1"] == first["sha1"]
    client.ok("POST", f"/files/{file}/versions/current", {"type": "file_version", "id": first["id"]}, status=201)
    assert client.download(file).body == b"one"
    assert client.ok("GET", f"/files/{file}")["name"] == "renamed"
    client.error(404, "not_found", "POST", f"/files/{file}/versions/current", {"id": "999999"})
    client.ok("DELETE", f"/files/{file}/versions/{old['entries'][0]['id']}", status=204)
    assert client.ok("GET", f"/files/{file}/versions")["total_count"] == 2
    current = client.ok("GET", f"/files/{file}")["file_version"]["id"]
    client.error(403, "forbidden", "DELETE", f"/files/{file}/versions/{current}")


def metadata(client):
    file = client.upload("m", b"m")["id"]
    path = f"/files/{file}/metadata/global/properties"
    client.error(404, "instance_not_found", "GET", path)
    made = client.ok("POST", path, {"mode": "0644", "a/b~c": "x"}, status=201)
    assert made["$parent"] == "file_" + file and made["$version"] == 0 and made["mode"] == "0644"
    client.error(409, "tuple_already_exists", "POST", path, {"mode": "1"})
    patch = [{"op": "test", "path": "/mode", "value": "0644"}, {"op": "replace", "path": "/mode", "value": "0600"},
             {"op": "add", "path": "/new", "value": "n"}, {"op": "remove", "path": "/a~1b~0c"},
             {"op": "copy", "from": "/new", "path": "/copied"}, {"op": "move", "from": "/new", "path": "/moved"}]
    changed = client.ok("PUT", path, patch, Content_Type="application/json-patch+json")
    assert {name: value for name, value in changed.items() if name[0] != "$"} == {
        "mode": "0600", "copied": "n", "moved": "n"} and changed["$version"] == 1
    for bad in ([{"op": "test", "path": "/mode", "value": "no"}], [{"op": "remove", "path": "/none"}], {"op": "add"},
                [{"op": "add", "path": "mode", "value": "x"}], [{"op": "add", "path": "/a/b", "value": "x"}], [7],
                [{"op": "fly", "path": "/mode"}], [{"op": "add", "path": "/~2", "value": "x"}]):
        client.error(400, "bad_request", "PUT", path, bad)
    client.error(400, "schema_validation_failed", "PUT", path, [{"op": "add", "path": "/number", "value": 5}])
    assert client.ok("GET", path)["mode"] == "0600"
    entry = client.ok("GET", "/folders/0/items?fields=name,metadata.global.properties")["entries"][0]
    assert entry["metadata"]["global"]["properties"]["mode"] == "0600", entry
    assert client.ok("GET", f"/files/{file}/metadata")["entries"][0]["mode"] == "0600"
    client.error(404, "instance_tuple_not_found", "GET", f"/files/{file}/metadata/enterprise_1/other")
    copy = client.ok("POST", f"/files/{file}/copy", {"parent": {"id": "0"}, "name": "n"}, status=201)["id"]
    assert client.ok("GET", f"/files/{copy}/metadata/global/properties")["mode"] == "0600"
    client.ok("DELETE", path, status=204)
    client.error(404, "instance_not_found", "DELETE", path)
    folder = client.folder("f")["id"]
    client.ok("POST", f"/folders/{folder}/metadata/global/properties", {"mode": "0700"}, status=201)


def shared_links(client):
    file = client.upload("s", b"s")["id"]
    made = client.ok("PUT", f"/files/{file}?fields=shared_link", {"shared_link": {"access": "open"}})
    assert made["shared_link"]["url"].startswith("https://") and made["shared_link"]["access"] == "open"
    assert client.ok("GET", f"/files/{file}?fields=shared_link")["shared_link"] == made["shared_link"]
    client.error(400, "bad_request", "PUT", f"/files/{file}", {"shared_link": {"access": "everybody"}})
    assert client.ok("PUT", f"/files/{file}?fields=shared_link", {"shared_link": None})["shared_link"] is None


def quota(client):
    me = client.ok("GET", "/users/me")
    assert isinstance(me["space_amount"], int) and me["space_used"] == 0, me
    control = client.emulator.control
    control("PUT", "users/" + me["id"], {"quota": 10**18})
    assert '"space_amount":1.0e+18' in client.call("GET", "/users/me").text
    control("PUT", "settings", {"exponent_numbers": 1})
    control("PUT", "users/" + me["id"], {"quota": 1000, "upload_limit": 900})
    text = client.call("GET", "/users/me").text
    assert '"space_amount":1.0e+03' in text and json.loads(text)["space_amount"] == 1000, text
    control("PUT", "settings", {"exponent_numbers": 0})
    client.upload("a", b"x" * 600)
    assert client.upload("b", b"x" * 901, status=403)["code"] == "file_size_limit_exceeded"
    assert client.upload("b", b"x" * 401, status=403)["code"] == "storage_limit_exceeded"
    client.error(403, "storage_limit_exceeded", "OPTIONS", "/files/content",
                 {"name": "b", "size": 401, "parent": {"id": "0"}})
    client.upload("b", b"x" * 400)
    control("PUT", "users/" + me["id"], {"quota": 10 << 40, "upload_limit": 150 << 30})


def odd_requests(client):
    # Ids that are none, methods that are none, paths that are none, a slash at the end.
    for path in ("/files/abc", "/files/0", "/files/-1", "/files/99999999999999999999", "/files/1%2F2"):
        client.error(404, "not_found", "GET", path)
    client.error(405, "method_not_allowed", "PATCH", "/folders/0")
    client.error(404, "not_found", "GET", "/nothing/there")
    assert client.call("GET", "/folders/0/items/").status == 200
    unauthorized = send(client.api + "/folders/0", headers={"Authorization": "Bearer wrong"})
    assert unauthorized.status == 401 and "invalid_token" in unauthorized.headers["WWW-Authenticate"]
    assert not unauthorized.body
    assert send(client.api + "/folders/0").status == 401
    assert send(client.api + "/folders/0?access_token=" + client.token).status == 200
    # Uploads live on the upload host alone.
    client.error(404, "not_found", "POST", "/files/content", "x")
    answer = client.call("POST", "/folders", json.dumps({"name": "a\0b", "parent": {"id": "0"}}))
    assert answer.status == 400, answer.text
    # Another user's things are not there.
    other = client.emulator.control("POST", "users", {"login": "other@example.com"})["id"]
    token = client.emulator.control("POST", "tokens", {"user": other})["token"]
    stranger = Client(client.emulator, token)
    file = client.upload("private", b"p")["id"]
    stranger.error(404, "not_found", "GET", f"/files/{file}")
    assert stranger.names() == []


def restart(client):
    """Everything is still there after a kill, and sessions and tokens go on."""
    emulator = Emulator(sys.argv[1])
    first = Client(emulator)
    folder = first.folder("kept")
    file = first.upload("file", b"content", folder["id"])
    first.ok("DELETE", f"/files/{first.upload('trashed', b't')['id']}", status=204)
    emulator.kill()
    emulator.start()
    second = Client(emulator)
    assert second.token == first.token
    assert second.names() == ["kept"] and second.download(file["id"]).body == b"content"
    assert second.ok("GET", "/folders/trash/items")["total_count"] == 1
    assert second.folder("new")["id"] > folder["id"]
    emulator.stop()


def seeds(client):
    client.emulator.control("POST", "seed", {"seed": "files=50,size=2k,folder=Many/Small"})
    client.emulator.control("POST", "seed", {"seed": "files=60,size=2k,folder=Many/Small"})
    tree = client.emulator.control("GET", "tree")["entries"]
    files = [one for one in tree if one["type"] == "file"]
    assert len(files) == 60 and len({one["sha1"] for one in files}) == 60 and files[0]["size"] == 2048
    assert files[7]["path"] == "/Many/Small/file-000007", files[7]
    client.emulator.control("POST", "seed", {"seed": "files=1000,size=10,folder=Same,content=same"})
    tree = client.emulator.control("GET", "tree")["entries"]
    assert len({one["sha1"] for one in tree if one["path"].startswith("/Same/")}) == 1
    try:
        client.emulator.control("POST", "seed", {"seed": "files=lots"})
        raise AssertionError("a wrong seed was taken")
    except RuntimeError:
        pass


sys.exit(main([listings, names, conflicts, etags, moves, copies, deletes, versions, metadata, shared_links, quota,
               odd_requests, restart, seeds]))
