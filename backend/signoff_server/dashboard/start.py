"""Starting a run: a form made of the workflow's input_schema, or JSON.

Rules of the room: only an admin starts a run here. Whoever started one is never asked to decide what it waits for: the
service leaves them out of those who may, as it does with a key. The form carries an idempotency key, so that a form
that is sent twice starts one run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from signoff_server.core.graph import Definition
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import schema_form
from signoff_server.dashboard.schema_form import Field, Read
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.dashboard.workflows import WORKFLOW_ID
from signoff_server.store.workflows import WorkflowView

_KEY: Final = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class _Filled:
    """What stands in the form: fields, or JSON where `raw`. `faults` are by the pointer of their field."""

    raw: bool
    texts: Mapping[str, str] = field(default_factory=dict)
    json: str = "{}"
    faults: Mapping[str, str] = field(default_factory=dict)
    told: str = ""
    key: str = ""


async def show(visit: Visit) -> Response:
    view, definition = await _workflow(visit, visit.asked("version"))
    form = schema_form.form_of(definition.input_schema)
    texts = None if form is None else schema_form.filled(form)
    raw = texts is None or visit.asked("raw") != ""
    return _page(visit, view, form, _Filled(raw, texts or {}))


async def submit(visit: Visit) -> Response:
    view, definition = await _workflow(visit, visit.said("version"))
    form = schema_form.form_of(definition.input_schema)
    raw = form is None or visit.said("raw") != ""
    texts = {name: visit.said(name) for name in visit.form if name.startswith("input")}
    sent = _Filled(raw, texts, visit.said("json"), key=visit.said("key"))
    found = schema_form.read_json(sent.json) if form is None or raw else schema_form.read(form, texts)
    if visit.said("switch") and form is not None:
        return _page(visit, view, form, _switched(form, sent, found))
    if found.faults:
        return _page(visit, view, form, _refilled(sent, found.faults, "Some of it cannot be read as it is."), 422)
    try:
        run = await _start(visit, definition, found.value, sent.key)
    except Refusal as refusal:
        if refusal.code not in ("invalid", "idempotency_key_reuse"):
            raise
        return _page(visit, view, form, _refused(form, sent, refusal), refusal.status)
    return go_to(f"/runs/{run}")


async def _workflow(visit: Visit, version: str) -> tuple[WorkflowView, Definition]:
    return await visit.server.workflows.get(visit.caller, visit.name("workflow", WORKFLOW_ID), version or None)


async def _start(visit: Visit, definition: Definition, given: dict[str, Any], key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Refusal("invalid", "The form lost its key: send it once more.")
    visit.server.creations.check(visit.caller.key)
    started = await visit.server.executions.start(
        visit.caller, definition.id, definition.version, given, traceparent=None, key=f"form:{key[:250]}"
    )
    return started.view.state.id


def _switched(form: Field, sent: _Filled, found: Read) -> _Filled:
    """The same in the other way of asking; as it was where that has no place for it."""
    if not sent.raw:
        # What cannot be read yet is not lost: it stays in the form until it can.
        if found.faults:
            return _refilled(sent, found.faults, "As JSON it can be shown once each field can be read.")
        return _Filled(True, {}, json.dumps(found.value, ensure_ascii=False, indent=2), key=sent.key)
    texts = None if found.faults else schema_form.filled(form, found.value)
    if texts is None:
        return _refilled(sent, found.faults, "The form has no place for all of this; it stays JSON.")
    return _Filled(False, texts, key=sent.key)


def _refilled(sent: _Filled, faults: Mapping[str, str], told: str) -> _Filled:
    return _Filled(sent.raw, sent.texts, sent.json, faults, told, sent.key)


def _refused(form: Field | None, sent: _Filled, refusal: Refusal) -> _Filled:
    errors = [(pointer.removeprefix("/input"), message) for pointer, message in refusal.errors]
    if sent.raw or form is None:
        faults = (
            {"": "; ".join(f"{pointer or 'the input'}: {message}" for pointer, message in errors)} if errors else {}
        )
    else:
        faults = schema_form.place(form, errors)
    told, key = refusal.detail, sent.key
    if refusal.code == "idempotency_key_reuse":
        # The next sending of what is shown now is meant as a run of its own.
        told, key = "This form has started a run already, with other values. Send it again to start another.", ""
    return _Filled(sent.raw, sent.texts, sent.json, faults, told, key)


def _page(visit: Visit, view: WorkflowView, form: Field | None, filled: _Filled, status: int = 200) -> Response:
    return visit.page(
        "start.html",
        status,
        view=view,
        form=form,
        filled=filled,
        key=filled.key or visit.server.world.new_id("key"),
    )
