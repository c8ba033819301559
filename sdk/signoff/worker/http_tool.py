"""Tools that are HTTP requests: what is sent for an input, and what a reply says about the effect.

The input is the body as JSON, in the bytes that were approved; for GET and DELETE it is the query, without what the URL
took. 2xx: completed, with the reply's JSON, or `{"text": …}`, or null for no body. 4xx: failed for good, but for 408,
425 and 429. Other replies: nobody knows what has happened, unless the tool is idempotent, where another attempt does no
harm. Nothing sent: failed, try again. Lost after sending: unknown.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from signoff.errors import printable
from signoff.protocol import canonical
from signoff.worker.addresses import Allowed
from signoff.worker.context import ToolContext
from signoff.worker.far_side import FarSide, Lost, NotSent, Reply, Request
from signoff.worker.outcome import Completed, Failed, Outcome, Unknown, cut
from signoff.worker.redaction import Redactor
from signoff.worker.tools_file import HTTPSpec
from signoff.worker.url_template import BadValue, scalar

_IN_QUERY: Final = ("GET", "DELETE")
_LATER: Final = (408, 425, 429)
_EXCERPT: Final = 300


class HTTPTool:
    """One tool of a tools.yaml."""

    can_stop = True

    def __init__(self, spec: HTTPSpec, allowed: Allowed, far_side: FarSide, redactor: Redactor) -> None:
        self.name = spec.name
        self.idempotent = spec.idempotent
        self.place = spec.place
        self._spec = spec
        self._allowed = allowed
        self._far_side = far_side
        self._redactor = redactor

    async def run(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        """One attempt. Cancelled, it still answers what is known."""
        try:
            request = self._request(input, context)
        except BadValue as error:
            return Failed(f"The input is not what the tool takes: {error}", retryable=False, where="input")
        try:
            reply = await self._far_side.send(request, self._allowed)
        except NotSent as error:
            return Failed(str(error), error.retryable, "not sent")
        except Lost as error:
            return Unknown(str(error), "lost after sending")
        return self._read(reply)

    def _request(self, input: Mapping[str, Any], context: ToolContext) -> Request:  # noqa: A002
        spec = self._spec
        url, headers, body = spec.url.render(input), dict(spec.headers), None
        if spec.method in _IN_QUERY:
            url = _with_query(url, {name: value for name, value in input.items() if name not in spec.url.fields})
        else:
            body = canonical.canonical(dict(input))
            headers = {"Content-Type": "application/json", **headers}
        if spec.idempotency_header is not None:
            headers[spec.idempotency_header] = context.execution_key
        return Request(spec.method, url, headers, body, spec.timeout)

    def _read(self, reply: Reply) -> Outcome:
        if 200 <= reply.status < 300:
            return self._completed(reply)
        told, where = self._told(reply), f"HTTP {reply.status}"
        if 400 <= reply.status < 500:
            return Failed(told, reply.status in _LATER, where)
        if 300 <= reply.status < 400:
            told = f"{where}: redirects are not followed; name the address that it leads to in tools.yaml."
        if not self.idempotent:
            return Unknown(f"{told} It may have happened all the same.", where)
        return Failed(told, reply.status >= 500, where)

    def _told(self, reply: Reply) -> str:
        text = self._redactor.text((reply.body or b"").decode("utf-8", "replace").strip())
        shown = cut(printable(text), _EXCERPT)
        return f"HTTP {reply.status}: {shown}" if shown else f"HTTP {reply.status}."

    def _completed(self, reply: Reply) -> Outcome:
        if reply.body is not None:
            return Completed(_data(reply.media_type, reply.body))
        told = f"HTTP {reply.status}, and the reply cannot be taken: {reply.unread}."
        if self._spec.method == "GET":
            return Failed(told, retryable=False, where="reply")
        return Unknown(f"It ran: {told}", "reply")


def _with_query(url: str, members: Mapping[str, Any]) -> str:
    pairs = [(name, _written(name, each)) for name, value in members.items() for each in _each(value)]
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}"


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _written(name: str, value: Any) -> str:
    text = scalar(value)
    if text is None:
        raise BadValue(f"{name}: a query holds texts, numbers, and lists of these")
    return text


def _data(media_type: str, body: bytes) -> Any:
    if not body:
        return None
    text = body.decode("utf-8", "replace")
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return canonical.loads(body)
        except (canonical.MalformedJSON, canonical.NotCanonical):
            # It has happened, which is what counts; the reply stands there to be read by a person.
            return {"text": _plain(text)}
    return {"text": _plain(text)}


def _plain(text: str) -> str:
    return text.replace("\x00", "\ufffd")
