"""Events as sentences. One table over every type of event there is.

A sentence is a pattern: `{actor}` is who acted, `{subject}` what it happened to, `{name}` and its like are facts of the
event. What a pattern says is ours; what is put into it is escaped and made visible like all text of others.
"""

import re
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from signoff_server.core.events import Recorded
from signoff_server.dashboard.text import seen

SENTENCES: Final[dict[str, str]] = {
    "approval.requested": "{actor} asked for {subject}",
    "approval.approved": "{actor} approved {subject}",
    "approval.rejected": "{actor} rejected {subject}",
    "approval.expired": "Nobody decided {subject} in time",
    "approval.cancelled": "{actor} withdrew {subject}",
    "approval.redeemed": "{actor} began to use {subject}",
    "approval.outcome_reported": "{actor} reported that {subject} {outcome}",
    "approval.outcome_unknown": "Whoever used {subject} was not heard of again: its outcome is unknown",
    "approval.resolved": "{actor} resolved {subject}: {outcome}",
    "execution.started": "{actor} started {subject}",
    "execution.parked": "{subject} parked",
    "execution.resumed": "{subject} went on",
    "execution.signalled": "{actor} sent the signal {name} to {subject}",
    "execution.completed": "{subject} completed",
    "execution.failed": "{subject} failed at {node}: {code}",
    "execution.cancelled": "{actor} cancelled {subject}",
    "node.scheduled": "The node {node} of {subject} is due",
    "node.started": "The node {node} of {subject} started",
    "node.approval_required": "The node {node} of {subject} waits for a decision",
    "node.blocked": "The node {node} of {subject} was blocked by {rule}",
    "node.completed": "The node {node} of {subject} completed",
    "node.failed": "The node {node} of {subject} failed",
    "node.cancelled": "The node {node} of {subject} was withdrawn",
    "node.retry_scheduled": "The node {node} of {subject} failed, and is tried again",
    "node.outcome_unknown": "What came of the node {node} of {subject} is unknown",
    "node.resolved": "{actor} resolved the node {node} of {subject}: {outcome}",
    "node.skipped": "The node {node} of {subject} was passed over",
    "workflow.registered": "{actor} registered the workflow {workflow_id} {version}",
    "principal.created": "{actor} made the {kind} {subject}",
    "principal.changed": "{actor} changed the rights of {subject}: {role}",
    "key.issued": "{actor} issued the key {subject}",
    "key.revoked": "{actor} revoked the key {subject}",
    "policy.changed": "{actor} changed the project's policy",
}
# How an event is drawn beside its sentence.
TONES: Final = {
    "approval.approved": "good",
    "execution.completed": "good",
    "approval.rejected": "bad",
    "execution.failed": "bad",
    "node.failed": "bad",
    "node.blocked": "bad",
    "node.outcome_unknown": "bad",
    "approval.outcome_unknown": "bad",
    "approval.requested": "warn",
    "approval.expired": "warn",
    "execution.parked": "warn",
    "node.approval_required": "warn",
}
_PLACE: Final = re.compile(r"\{(\w+)\}")


def sentence(event: Recorded, names: Mapping[str, str], titles: Mapping[str, str]) -> Markup:
    """What happened. `names` are those of principals, `titles` those of subjects, each by id."""
    pattern = SENTENCES.get(event.type, "{actor}: " + event.type.replace("{", "(") + " of {subject}")
    pieces = _PLACE.split(pattern)
    drawn = [escape(piece) if at % 2 == 0 else _filled(piece, event, names, titles) for at, piece in enumerate(pieces)]
    return Markup("").join(drawn)


def _filled(place: str, event: Recorded, names: Mapping[str, str], titles: Mapping[str, str]) -> Markup:
    if place == "actor":
        return _actor(event, names)
    if place == "subject":
        return _subject(event.subject, titles)
    found = event.facts.get(place)
    return Markup("<code>{}</code>").format(seen("?" if found is None else found))


def _actor(event: Recorded, names: Mapping[str, str]) -> Markup:
    actor = event.actor
    if actor.id is None:
        return Markup("The policy") if actor.via == "policy" else Markup("The server")
    return Markup("<strong>{}</strong>").format(seen(names.get(actor.id, actor.id)))


def _subject(subject: str, titles: Mapping[str, str]) -> Markup:
    title = seen(titles.get(subject, subject))
    path = {"apr": "/approvals/", "exe": "/runs/"}.get(subject.partition("_")[0])
    if path is None:
        return Markup("<code>{}</code>").format(title)
    return Markup('<a href="{}{}">{}</a>').format(path, subject, title)
