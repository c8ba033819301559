"""Templates: everything that is put into one is escaped, and what a person could not see is made visible."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from signoff.protocol.visible import visible
from signoff_server.dashboard import assets, text, trees

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def render(template: str, context: Mapping[str, Any]) -> str:
    text_of_page: str = _ENVIRONMENT.get_template(template).render(context)
    return text_of_page


def render_macro(template: str, macro: str, *arguments: Any) -> str:
    """One piece of a page by itself."""
    made: str = getattr(_ENVIRONMENT.get_template(template).module, macro)(*arguments)
    return made


def moment(at: int) -> str:
    """`2026-11-25 07:30:00 UTC` of milliseconds since 1970."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: int) -> str:
    """As an attribute `datetime` wants it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(milliseconds: int) -> str:
    """`2 d 3 h`: the two largest units of a length of time; `0 s` at least."""
    left, counts = max(0, milliseconds) // 1000, []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        counts.append((count, unit))
    largest = next((at for at, (count, _) in enumerate(counts) if count), len(counts) - 1)
    told = [f"{count} {unit}" for count, unit in counts[largest : largest + 2] if count]
    return " ".join(told) or "0 s"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("signoff_server.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"seen": text.seen, "moment": moment, "iso": iso, "span": span, "number": text.number}
    environment.filters |= {
        "seen_lines": text.seen_lines,
        "seen_json": text.seen_json,
        "brief": text.brief,
        "tree": trees.tree,
    }
    environment.filters |= {"pretty": text.pretty, "lines": text.lines, "told": visible}
    environment.globals["asset"] = assets.address
    return environment


_ENVIRONMENT: Final = _environment()
