# SPDX-License-Identifier: MIT
"""
Holds answers against Box's description of its API: as much of OpenAPI as that document uses.

Known to differ from what Box really sends, and therefore not asked: the list of error codes, which lacks many, members
that it requires and does not describe (shared_link.accessed), and the status codes of successes and errors that the document leaves out.
"""

import json
import lzma
import os
import re
from pathlib import Path

DOCUMENT = Path(__file__).parent / "data" / "box-openapi.json.xz"
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": (int, float), "number": (int, float)}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")


class Description:
    def __init__(self):
        other = os.environ.get("DRIVEWAY_BOX_OPENAPI")
        self.document = json.loads(Path(other).read_bytes() if other else lzma.decompress(DOCUMENT.read_bytes()))
        self.paths = []
        for path, methods in self.document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(path.split("#")[0])) + "$")
            self.paths.append((path.count("{"), pattern, methods))
        self.paths.sort(key=lambda one: one[0])
        self.checked = 0

    def resolve(self, schema):
        while "$ref" in schema:
            at = self.document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                at = at[step.replace("~1", "/").replace("~0", "~")]
            schema = at
        return schema

    def problems(self, schema, value, where):
        schema = self.resolve(schema)
        if value is None:
            return [] if self.nullable(schema) else [f"{where} is null"]
        found = []
        for part in schema.get("allOf", []):
            found += self.problems(part, value, where)
        for word in ("oneOf", "anyOf"):
            if word in schema:
                tries = [self.problems(part, value, where) for part in schema[word]]
                if all(tries):
                    found += min(tries, key=len)
        kind = schema.get("type")
        if kind and (not isinstance(value, TYPES[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
            return found + [f"{where} is no {kind}: {value!r}"]
        if "enum" in schema and value not in schema["enum"] and not where.endswith(".code"):
            found.append(f"{where} is none of {schema['enum']}: {value!r}")
        if schema.get("format") == "date-time" and isinstance(value, str) and not TIME.match(value):
            found.append(f"{where} is no time: {value!r}")
        if isinstance(value, dict):
            wanted = set(schema.get("required", [])) & set(schema.get("properties", {}))
            found += [f"{where} lacks {name}" for name in sorted(wanted) if name not in value]
            for name, part in schema.get("properties", {}).items():
                if name in value:
                    found += self.problems(part, value[name], f"{where}.{name}")
        if isinstance(value, list) and "items" in schema:
            for at, one in enumerate(value):
                found += self.problems(schema["items"], one, f"{where}[{at}]")
        return found

    def nullable(self, schema):
        parts = [self.resolve(part) for part in schema.get("allOf", [])]
        return schema.get("nullable", False) or any(part.get("nullable", False) for part in parts)

    def check(self, method, path, answer):
        """Fail when the answer to a call (path without its base and query) is not what the document says."""
        for _, pattern, methods in self.paths:
            operation = methods.get(method.lower())
            if operation and pattern.match(path):
                break
        else:
            return
        responses = operation["responses"]
        response = responses.get(str(answer.status))
        if response is None and answer.status >= 400:
            response = responses.get("default")
        if response is None:
            return
        schema = self.resolve(response).get("content", {}).get("application/json", {}).get("schema")
        if not schema or not answer.text:
            return
        self.checked += 1
        found = self.problems(schema, answer.json, "answer")
        assert not found, f"{method} {path}, {answer.status}: " + "; ".join(found) + "\n" + answer.text[:2000]
