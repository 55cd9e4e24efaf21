"""Is an answer as /openapi.json describes it?

    described.check(answer)    of requests: its status, its media type and each of its headers
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

DOCUMENT = Path(__file__).parents[2] / "src/http/openapi.json"
# Of every HTTP message (RFC 9110, RFC 9112), and so of none in particular; and what a proxy adds.
ANY_MESSAGE = {"date", "connection", "keep-alive", "content-length", "content-type", "transfer-encoding", "server", "via"}
OF_A_GATEWAY = {502, 504}  # a proxy says them when the server does not answer; the server never does

_document = json.loads(DOCUMENT.read_text())


def resolve(node):
    """What a $ref stands for, or the node itself."""
    while "$ref" in node:
        path, node = node["$ref"], _document
        for name in path.removeprefix("#/").split("/"):
            node = node[name]
    return node


def _pattern(path):
    """Paths match in any case; those of operators byte for byte."""
    exact = path.startswith(("/metrics", "/Admin/", "/.well-known/"))
    return re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(path)) + ("" if exact else "/?"), 0 if exact else re.I)


PATHS = [(_pattern(path), item) for path, item in _document["paths"].items()]


def operation_of(method, path):
    """What the document says of it; of OPTIONS, and of what no path has, it says the same of all."""
    method = {"HEAD": "get"}.get(method, method.lower())
    for pattern, item in PATHS:
        if pattern.fullmatch(path) and method in item:
            return item[method]
    return _document["x-other-methods"]


def media_types(method, path, status, response):
    """GET /Report has the forms that its description says, which are those of a link."""
    types = set(response.get("content", {}))
    if method in ("GET", "HEAD") and path.lower().rstrip("/") == "/report" and status == "200":
        types |= set(operation_of("GET", "/Report/Link")["responses"]["200"]["content"])
    return types


def check_vary(what, operation, answer):
    """Origin, where other origins are allowed; and what chooses the form, all of it with an answer that is one of several."""
    named = {word.strip() for word in answer.headers.get("Vary", "").split(",")} - {"", "Origin"}
    chosen = set(operation.get("x-vary", []))
    assert named <= chosen, f"{what} varies by {named}, and /openapi.json says {chosen}"
    if "ETag" in answer.headers:
        assert named == chosen, f"{what} does not say that it varies by {chosen - named}"


def check(answer):
    method, path = answer.request.method, unquote(urlsplit(answer.request.url).path)
    what = f"{method} {path}: {answer.status_code}"
    if answer.status_code in OF_A_GATEWAY:
        return
    operation = operation_of(method, path)
    responses = operation["responses"]
    assert str(answer.status_code) in responses, f"{what} is not in /openapi.json"
    response = resolve(responses[str(answer.status_code)])
    unknown = {name.lower() for name in answer.headers} - {name.lower() for name in response.get("headers", {})} - ANY_MESSAGE
    assert not unknown, f"{what} has headers that are not in /openapi.json: {', '.join(sorted(unknown))}"
    if "Content-Type" in answer.headers:
        sent = answer.headers["Content-Type"].split(";")[0]
        types = media_types(method, path, str(answer.status_code), response)
        assert not types or sent in types or "*/*" in types, f"{what} is {sent}, which is not in /openapi.json"
    check_vary(what, operation, answer)
