"""The project's policy as a form, and what a name would get by it: for admins."""

import json
from typing import Final

from starlette.responses import Response

from signoff_server.core.policies import SECTIONS, Policy, Verdict
from signoff_server.core.refusals import Refusal
from signoff_server.core.workflows import policy_of
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.web.call import cursor

_NAME: Final = 128


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def change(visit: Visit) -> Response:
    """The form takes the place of the policy as a whole, by the same door as a file."""
    lines = {section: visit.said(section) for section in SECTIONS}
    wanted: dict[str, object] = {section: _rules(text) for section, text in lines.items()}
    if default := visit.said("default"):
        wanted["default"] = default
    try:
        # Two admins must not undo each other's change without having seen it. Whatever is JSON is YAML too.
        source, seen = json.dumps(wanted).encode(), cursor(visit.said("seen"))
        await visit.server.workflows.set_policy(visit.caller, source, seen=seen)
    except Refusal as refusal:
        return await _page(visit, refusal, lines, default)
    return go_to("/settings/policy")


async def _page(
    visit: Visit, refusal: Refusal | None = None, lines: dict[str, str] | None = None, default: str = ""
) -> Response:
    view = await visit.server.workflows.policy(visit.caller)
    policy = policy_of(view.state)
    name = visit.asked("name")[:_NAME]
    return visit.page(
        "settings_policy.html",
        200 if refusal is None else refusal.status,
        view=view,
        lines=_lines(policy) if lines is None else lines,
        default=(policy.default or "") if lines is None else default,
        name=name,
        verdict=await _verdict(visit, name),
        seen_policy=0 if view.state is None else view.state.seq,
        refusal=refusal,
    )


async def _verdict(visit: Visit, name: str) -> Verdict | None:
    return await visit.server.workflows.judge(visit.caller, name, None, None) if name else None


def _lines(policy: Policy) -> dict[str, str]:
    return {section: "\n".join(getattr(policy, section)) for section in SECTIONS}


def _rules(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
