"""Who comes in, and that only forms of ours do anything."""

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
