"""Who is let in, and what every answer says about itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from mqtrace.flow.page.door import is_loopback, names_of

Client = Callable[..., TestClient]
_TRACE = "/trace/" + "ab" * 16
PATHS = ["/", "/traces", _TRACE, "/static/style.css", "/favicon.ico", "/api/state", "/api/nothing", "/else"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_the_page_does_not_need(client: Client, path: str) -> None:
    headers = client().get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_only_get_is_answered(client: Client, path: str, method: str) -> None:
    answer = client().request(method, path, headers={"origin": "https://evil.example"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "localhost.", "[::1]:8765"]
)
def test_its_own_names_are_let_in(client: Client, host: str) -> None:
    assert client().get("/api/state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8765",
        "evil.example@127.0.0.1",
        "10.0.0.1",
        "2130706433",
        "127.1",
        "",
        " ",
        "127.0.0.1:8765, evil.example",
        "[::1]evil",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/api/live"])
def test_a_foreign_host_is_refused(client: Client, host: str, path: str) -> None:
    """DNS rebinding: a page of evil.example, whose name was made to lead here."""
    answer = client().get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "Host header" in answer.text


def test_a_second_host_is_refused(client: Client) -> None:
    answer = client().get("/api/state", headers=[("host", "127.0.0.1"), ("host", "evil.example")])
    assert answer.status_code == 421


def test_without_the_token_nothing_is_told(client: Client) -> None:
    asked = client(token="right", names=names_of("0.0.0.0"))
    for path in PATHS:
        answer = asked.get(path)
        assert answer.status_code == 401
        assert "open the address that mqtrace ui printed" in answer.text
        assert asked.get(path, params={"token": "wrong"}).status_code == 401
        assert asked.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert asked.get(path, headers={"cookie": "mqtrace=wrong; a=b"}).status_code == 401


def test_the_token_in_an_address_becomes_a_cookie_and_leaves_the_address(client: Client) -> None:
    asked = client(token="right", names=names_of("0.0.0.0"))
    answer = asked.get("/traces?last=15m&token=right&service=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/traces?last=15m&service=a%26b"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert asked.get("/traces").status_code == 200
    assert asked.get("/api/state").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example", "///evil.example", "/\\evil.example"])
def test_no_address_leads_away(client: Client, path: str) -> None:
    asked = client(token="right", names=names_of("0.0.0.0"))
    location = asked.get(f"http://127.0.0.1:8765{path}?token=right").headers.get("location", "/")
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


def test_a_program_shows_the_token_with_each_question(client: Client) -> None:
    asked = client(token="right", names=names_of("0.0.0.0"))
    assert asked.get("/api/state", headers={"authorization": "Bearer right"}).status_code == 200
    assert asked.get("/api/state", params={"token": "right"}).status_code == 200


def test_with_a_token_an_address_in_figures_is_let_in_and_a_foreign_name_is_not(client: Client) -> None:
    asked = client(token="right", names=names_of("0.0.0.0"))
    shown = {"authorization": "Bearer right"}
    assert asked.get("/api/state", headers={"host": "192.0.2.7:8765", **shown}).status_code == 200
    assert asked.get("/api/state", headers={"host": "evil.example", **shown}).status_code == 421


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
