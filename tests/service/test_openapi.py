# SPDX-License-Identifier: MIT
"""GET /openapi.json matches the service: the same addresses, methods and problem codes."""
import json
import re

from conftest import REPOSITORY

ROUTE = re.compile(r'\{"(GET|POST|DELETE)", "([^"]+)", (\w+)')
SOURCE = (REPOSITORY / "src/service/http/routes/routes.c").read_text()
DOCUMENT = json.loads((REPOSITORY / "src/service/http/routes/openapi.json").read_text())


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_route_is_described_and_nothing_else():
    routes = {(method, path) for method, path, _ in ROUTE.findall(SOURCE)}
    assert len(routes) == 26
    assert {(method, path) for method, path, _ in operations()} == routes


def test_open_routes_need_no_key():
    open_routes = {(method, path) for method, path, scopes in ROUTE.findall(SOURCE) if scopes == "0"}
    assert {(method, path) for method, path, operation in operations() if operation.get("security") == []} == open_routes


def test_every_problem_code_is_listed():
    codes = re.findall(r'X\(\w+, \d+, "([^"]+)"', (REPOSITORY / "src/service/core/problem.h").read_text())
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == codes


def test_references_lead_somewhere():
    for reference in references(DOCUMENT):
        place = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


def test_the_service_gives_this_document(service):
    answer = service.get("/openapi.json")
    assert answer.status == 200
    assert json.loads(answer.body) == DOCUMENT


def test_methods_and_addresses_that_do_not_exist(service):
    for method, path, _ in operations():
        address = path.replace("{id}", "01a20f13-3097-7000-815a-90e3a868afd0").replace("{file}", "vocals.wav")
        allowed = {other for other, same, _ in operations() if same == path}
        answer = service.request("OPTIONS", address)
        assert answer.status == 204
        assert allowed <= set(answer.headers["Allow"].split(", "))
        if "GET" in allowed:
            assert "HEAD" in answer.headers["Allow"]
        refused = service.request("PATCH", address)
        assert (refused.status, refused.headers["Allow"]) == (405, answer.headers["Allow"])
    assert service.get("/v2/jobs").status == 404
    assert service.get("/v1/jobs/not-an-id").status == 404
