#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tokens: the authorize page, the grants, refresh tokens that work once, revoking, rate limits."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

from emulator import Client, main, send

REDIRECT = "http://127.0.0.1:5555/callback"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def authorize(client, body=None, **more):
    ends = client.emulator.endpoints
    query = {"response_type": "code", "client_id": ends["client_id"], "redirect_uri": REDIRECT, "state": "st&te", **more}
    query = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    if body is not None:
        return send(ends["http"]["authorize"], "POST", query + "&" + body, FORM)
    return send(ends["http"]["authorize"] + "?" + query)


def returned(answer):
    assert answer.status == 302, answer.text
    location = urllib.parse.urlsplit(answer.headers["Location"])
    assert answer.headers["Location"].startswith(REDIRECT), answer.headers["Location"]
    return {name: values[0] for name, values in urllib.parse.parse_qs(location.query).items()}


def grant(client, status=200, **form):
    ends = client.emulator.endpoints
    form = {"client_id": ends["client_id"], "client_secret": ends["client_secret"], **form}
    answer = send(ends["http"]["token"], "POST", urllib.parse.urlencode(form), FORM)
    assert answer.status == status, answer.text
    return answer.json


def works(client, token):
    return Client(client.emulator, token).call("GET", "/users/me").status == 200


def authorization_code(client):
    got = returned(authorize(client))
    assert got["state"] == "st&te"
    tokens = grant(client, grant_type="authorization_code", code=got["code"], redirect_uri=REDIRECT)
    assert tokens["token_type"] == "bearer" and tokens["expires_in"] == 3600 and works(client, tokens["access_token"])
    said = grant(client, 400, grant_type="authorization_code", code=got["code"], redirect_uri=REDIRECT)
    assert said["error"] == "invalid_grant", "a code is good once"
    late = returned(authorize(client))["code"]
    client.emulator.control("POST", "clock", {"advance": 31})
    assert grant(client, 400, grant_type="authorization_code", code=late)["error"] == "invalid_grant"
    other = returned(authorize(client))["code"]
    assert grant(client, 400, grant_type="authorization_code", code=other, redirect_uri="http://127.0.0.1:1/x")["error"]


def authorize_page(client):
    assert authorize(client, client_id="nobody").status == 400
    assert authorize(client, redirect_uri="http://evil.example/").status == 400
    assert authorize(client, redirect_uri="http://127.0.0.1:5555/callback/../x").status == 400
    assert authorize(client, redirect_uri="http://127.0.0.1.evil.example/callback").status == 400
    assert authorize(client, redirect_uri="http://127.0.0.1:5@evil.example/callback").status == 400
    assert authorize(client, redirect_uri="http://localhost:77/callback").status == 302
    assert returned(authorize(client, response_type="token"))["error"] == "unsupported_response_type"
    client.emulator.control("PUT", "settings", {"auto_approve": 0})
    page = authorize(client, state='"><script>')
    assert page.status == 200 and "<script>" not in page.text and 'name=decision value=allow' in page.text
    assert returned(authorize(client, body="decision=deny"))["error"] == "access_denied"
    code = returned(authorize(client, body="decision=allow"))["code"]
    grant(client, grant_type="authorization_code", code=code)
    client.emulator.control("PUT", "settings", {"auto_approve": 1})


def pkce(client):
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    both = {"code_challenge": challenge, "code_challenge_method": "S256"}
    for tried, status in ((verifier, 200), ("w" * 50, 400), (None, 400)):
        code = returned(authorize(client, **both))["code"]
        form = {"code_verifier": tried} if tried else {}
        grant(client, status, grant_type="authorization_code", code=code, **form)
    assert returned(authorize(client, code_challenge=challenge, code_challenge_method="plain"))["error"] == "invalid_request"


def refresh(client):
    first = grant(client, grant_type="authorization_code", code=returned(authorize(client))["code"])
    second = grant(client, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert works(client, second["access_token"]) and second["refresh_token"] != first["refresh_token"]
    said = grant(client, 400, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert said["error"] == "invalid_grant" and said["error_description"]
    assert not works(client, second["access_token"]), "a second use revokes what came of it"
    grant(client, 400, grant_type="refresh_token", refresh_token=second["refresh_token"])
    third = grant(client, grant_type="authorization_code", code=returned(authorize(client))["code"])
    client.emulator.control("POST", "clock", {"advance": 3601})
    answer = Client(client.emulator, third["access_token"]).call("GET", "/users/me")
    assert answer.status == 401 and "expired" in answer.headers["WWW-Authenticate"]
    grant(client, grant_type="refresh_token", refresh_token=third["refresh_token"])
    fourth = grant(client, grant_type="authorization_code", code=returned(authorize(client))["code"])
    client.emulator.control("POST", "clock", {"advance": 60 * 86400 + 1})
    grant(client, 400, grant_type="refresh_token", refresh_token=fourth["refresh_token"])


def revoke(client):
    ends = client.emulator.endpoints
    tokens = grant(client, grant_type="authorization_code", code=returned(authorize(client))["code"])
    form = {"client_id": ends["client_id"], "client_secret": ends["client_secret"], "token": tokens["access_token"]}
    assert send(ends["http"]["base"] + "/oauth2/revoke", "POST", urllib.parse.urlencode(form), FORM).status == 200
    assert not works(client, tokens["access_token"])
    grant(client, 400, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    form["client_secret"] = "wrong"
    assert send(ends["http"]["base"] + "/oauth2/revoke", "POST", urllib.parse.urlencode(form), FORM).status == 400


def client_credentials(client):
    enterprise = client.emulator.endpoints["enterprise"]
    tokens = grant(client, grant_type="client_credentials", box_subject_type="enterprise", box_subject_id=enterprise)
    assert works(client, tokens["access_token"]) and "refresh_token" not in tokens
    me = client.ok("GET", "/users/me")["id"]
    grant(client, grant_type="client_credentials", box_subject_type="user", box_subject_id=me)
    for kind, subject in (("user", "12"), ("enterprise", "1"), ("group", me)):
        said = grant(client, 400, grant_type="client_credentials", box_subject_type=kind, box_subject_id=subject)
        assert said["error"] == "invalid_grant"
    assert grant(client, 400, grant_type="client_credentials", client_secret="no")["error"] == "invalid_client"
    assert grant(client, 400, grant_type="password")["error"] == "unsupported_grant_type"
    assert grant(client, 400)["error"] == "invalid_request"
    basic = base64.b64encode(f"{client.emulator.endpoints['client_id']}:{client.emulator.endpoints['client_secret']}".encode())
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "box_subject_type": "user", "box_subject_id": me})
    answer = send(client.emulator.endpoints["http"]["token"], "POST", form, {**FORM, "Authorization": "Basic " + basic.decode()})
    assert answer.status == 200, answer.text


def encode(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).decode().rstrip("=")


def jwt(client):
    if not shutil.which("openssl"):
        print("     left out: there is no openssl")
        return
    control = client.emulator.control
    with tempfile.TemporaryDirectory() as work:
        key = Path(work) / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout"], check=True, capture_output=True, text=True).stdout
        control("POST", "apps", {"client_id": "server", "client_secret": "s", "public_keys": {"k1": public}, "enterprise": "77"})
        now = control("POST", "clock", {"advance": 0})["now"]
        counter = iter(range(1000))

        def assertion(header=None, **changes):
            claims = {"iss": "server", "sub": "77", "box_sub_type": "enterprise", "aud": "https://api.box.com/oauth2/token",
                      "jti": f"identifier-{next(counter):08d}", "exp": now + 45, **changes}
            text = encode({"alg": "RS256", "typ": "JWT", "kid": "k1", **(header or {})}) + "." + encode(claims)
            signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), check=True, capture_output=True)
            return text + "." + encode(signed.stdout)

        def ask(text, status):
            return grant(client, status, client_id="server", client_secret="s", assertion=text,
                         grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer")

        good = assertion()
        tokens = ask(good, 200)
        assert works(client, tokens["access_token"]) and "refresh_token" not in tokens
        assert "jti" in ask(good, 400)["error_description"]
        for bad in (assertion({"alg": "none"}), assertion({"alg": "HS256"}), assertion({"kid": "k2"}), assertion(exp=now - 10),
                    assertion(exp=now + 100), assertion(aud="https://elsewhere/"), assertion(iss="other"), assertion(sub="78"),
                    assertion(jti="short"), assertion(jti=5), good[:-4] + "AAAA", "a.b.c", "..", "", good.rsplit(".", 1)[0] + "."):
            assert ask(bad, 400)["error"] == "invalid_grant", bad


def rates(client):
    control = client.emulator.control
    control("PUT", "settings", {"rate_limits": 1, "calls_a_minute": 30, "uploads_a_minute": 3})
    answers = [client.call("GET", "/folders/0") for _ in range(70)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and refused[0].json["code"] == "rate_limit_exceeded" and 0 < int(refused[0].headers["Retry-After"]) <= 60
    control("POST", "clock", {"advance": 60})
    control("PUT", "settings", {"calls_a_minute": 1000})
    control("POST", "clock", {"advance": 60})
    codes = []
    for i in range(9):
        try:
            client.upload(f"{i}", b"x")
        except AssertionError as error:
            assert "429" in str(error), error
            codes.append(i)
    assert codes, "nine uploads passed although three are allowed"
    control("PUT", "settings", {"rate_limits": 0, "uploads_a_minute": 240})


sys.exit(main([authorization_code, authorize_page, pkce, refresh, revoke, client_credentials, jwt, rates]))
