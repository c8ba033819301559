"""Who comes in, and that only forms of ours do anything."""

import re

import pytest

from signoff_server.dashboard.visit import inner_path
from tests.support.project import Project
from tests.support.visits import leads_to, visitor, words


def test_whoever_is_not_signed_in_is_led_to_the_door_and_back(project: Project) -> None:
    nobody = visitor(project, None)
    assert leads_to(nobody.get("/")) == "/sign-in"
    assert leads_to(nobody.get("/?y=1")) == "/sign-in?next=%2F%3Fy%3D1"


def test_a_link_signs_in_once_and_only_by_its_form(project: Project) -> None:
    alice = visitor(project, "alice")
    assert "Pending" in words(alice.get("/").text)
    assert leads_to(alice.post("/sign-out")) == "/sign-in"
    assert leads_to(alice.get("/")) == "/sign-in"


def test_a_link_that_was_used_says_so(project: Project) -> None:
    link = project.client.portal.call(project.server.accounts.sign_in_link, project.id, project.ids["alice"])
    first, second = visitor(project, None), visitor(project, None)
    assert leads_to(first.post("/sign-in/link", {"token": link.token}, csrf="")) == "/"
    late = second.post("/sign-in/link", {"token": link.token}, csrf="")
    assert (late.status_code, "This link was used" in words(late.text)) == (401, True)
    assert leads_to(second.get("/")) == "/sign-in"


def test_a_form_of_another_site_does_nothing(project: Project) -> None:
    alice = visitor(project, "alice")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert alice.post("/sign-out", headers=headers).status_code == 403
    assert alice.post("/sign-out", csrf="x").status_code == 403
    assert alice.get("/").status_code == 200


def test_where_nothing_is_a_browser_is_told_by_a_page_and_a_program_by_a_problem(project: Project) -> None:
    nobody = visitor(project, None)
    for path in ("/nowhere", "/settings/nowhere"):
        shown = nobody.get(path, headers={"Accept": "text/html,*/*"})
        assert (shown.status_code, "There is no such page." in words(shown.text)) == (404, True)
        assert nobody.get(path, headers={"Accept": "*/*"}).json()["code"] == "not_found"


def test_every_page_is_sent_with_a_strict_policy_and_a_nonce_of_its_own(project: Project) -> None:
    alice = visitor(project, "alice")
    pages = [alice.get("/"), alice.get("/"), alice.get("/settings"), alice.get("/sign-in")]
    nonces = set()
    for page in pages:
        policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
        nonce = re.fullmatch(r"'nonce-([A-Za-z0-9+/=]{24})' 'strict-dynamic'", policy.pop("script-src"))
        assert nonce is not None
        nonces.add(nonce[1])
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
            "trusted-types": "htmx",
        }
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
    assert len(nonces) == len(pages)


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("/runs?status=parked", "/runs?status=parked"),
        *((outside, "/") for outside in ("//evil.example", "/\\evil.example", "https://evil.example", "evil", "")),
        *((odd, "/") for odd in ("/a\\b", "/a b", "/a\u202eb", "javascript:alert(1)", "\t//evil.example")),
    ],
)
def test_signing_in_leads_to_pages_of_ours_alone(asked: str, leads: str) -> None:
    assert inner_path(asked) == leads


def test_what_a_page_asks_for_by_itself_keeps_nobody_signed_in(project: Project) -> None:
    alice = visitor(project, "alice")
    for _ in range(2):
        project.world.advance(20 * 60)
        assert alice.get("/").status_code == 200
    for _ in range(2):
        project.world.advance(14 * 60)
        assert alice.get("/", headers={"HX-Request": "true"}).status_code == 200
    project.world.advance(3 * 60)
    over = alice.get("/", headers={"HX-Request": "true"})
    assert (over.status_code, over.headers["hx-redirect"]) == (401, "/sign-in")
    assert leads_to(alice.get("/")) == "/sign-in"


def test_to_head_a_stream_says_only_what_it_would_begin_with(project: Project) -> None:
    alice = visitor(project, "alice")
    reply = alice.send("HEAD", "/live")
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert reply.content == b""
