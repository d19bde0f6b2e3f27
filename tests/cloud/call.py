"""One request to the cloud, in words that do not depend on its protocol."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import botocore.session

# What a credential scope calls a service, where botocore's folder has another name.
FOLDERS = {"servicequotas": "service-quotas", "elasticfilesystem": "efs"}
READING = ("Describe", "Get", "List", "Search", "Simulate", "Decode", "AssumeRole", "Test")


@dataclass
class Call:
    service: str
    action: str
    region: str
    params: dict[str, Any]
    body: bytes = b""
    path: str = "/"
    facts: dict[str, str] = field(default_factory=dict)  # worked out by the layer: zone

    @property
    def dry(self) -> bool:
        return self.params.get("DryRun") == "true"

    @property
    def mutating(self) -> bool:
        return not self.dry and not self.action.startswith(READING)

    def values(self, name: str) -> list[str]:
        """The members of a flattened list: InstanceId.1, InstanceId.2 …"""
        found = [
            (int(match[1]), value)
            for key, value in self.params.items()
            if (match := re.fullmatch(rf"{re.escape(name)}\.(\d+)", key))
        ]
        return [value for _, value in sorted(found)]

    def members(self, name: str) -> Iterator[dict[str, str]]:
        """The members of a list of structures, each flat: Tag.1.Key, Tag.1.Value …"""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.params.items():
            if match := re.fullmatch(rf"{re.escape(name)}\.(\d+)\.(.+)", key):
                found.setdefault(int(match[1]), {})[match[2]] = value
        for number in sorted(found):
            yield found[number]

    @property
    def groups(self) -> set[str]:
        """Every security group named anywhere in it."""
        return {value for value in self.params.values() if _is(value, "sg-")}

    @property
    def instances(self) -> set[str]:
        return {value for value in self.params.values() if _is(value, "i-")}


def _is(value: Any, prefix: str) -> bool:
    return isinstance(value, str) and value.startswith(prefix)


def read(environ: dict[str, Any]) -> Call | None:
    """The call in a WSGI request, whose body can be read again afterwards; None if unsigned."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    scope = re.search(
        r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", "")
    )
    if not scope:
        return None
    region, service = scope.groups()
    path = environ.get("PATH_INFO", "/")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return Call(service, target.rpartition(".")[2], region, json.loads(body or b"{}"), body)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if "Action" in form and path == "/":
        return Call(service, form["Action"], region, form, body)
    action, found = _operation(service, environ["REQUEST_METHOD"], path)
    return Call(service, action, region, query | found, body, path)


def _operation(service: str, method: str, path: str) -> tuple[str, dict[str, str]]:
    for verb, pattern, name in _routes(FOLDERS.get(service, service)):
        if verb == method and (match := pattern.fullmatch(path.rstrip("/"))):
            return name, match.groupdict()
    return f"{method} {path}", {}


@cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return []
    model = session.get_service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        uri = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>[^/]+)", uri)
        routes.append((http["method"], re.compile(pattern), name))
    return routes
