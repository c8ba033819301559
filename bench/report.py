"""A figure, what is wanted of it, and how it is printed: one JSON object a line on stdout, a short table on stderr."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.machine import Used

MEMBERS: Final = ("name", "values", "unit", "limit", "ratio", "aim", "met", "cpu", "others", "database", "note")


@dataclass(frozen=True, slots=True)
class Aim:
    """What one value, or its ratio to the limit, is to be: at most or at least `bound`."""

    of: str
    bound: float
    at_least: bool = False
    ratio: bool = False

    def met(self, figure: "Figure") -> bool:
        # Where the limit is nothing at all, nothing is what is to be reached.
        found = (figure.ratio if self.ratio else figure.values).get(self.of, figure.values[self.of])
        return found >= self.bound if self.at_least else found <= self.bound

    def __str__(self) -> str:
        what = f"{self.of} / limit" if self.ratio else self.of
        return f"{what} {'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured.

    `limit` is what the machine itself does, measured in the same run; what it has in common with `values` is divided
    into `ratio`. `cpu` is seconds of processor time by process, and `others` how many cores everything else on the
    machine took meanwhile, the server of a database included: a figure with much of it is to be taken again.
    """

    name: str
    values: Mapping[str, float]
    unit: str
    limit: Mapping[str, float] = field(default_factory=dict)
    limit_is: str | None = None
    aims: Sequence[Aim] = ()
    cpu: Mapping[str, float] = field(default_factory=dict)
    others: float | None = None
    note: str = ""

    @property
    def ratio(self) -> dict[str, float]:
        shared = (name for name in self.values if self.limit.get(name))
        return {name: self.values[name] / self.limit[name] for name in shared}

    @property
    def met(self) -> bool | None:
        return all(aim.met(self) for aim in self.aims) if self.aims else None

    def as_json(self, database: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "values": _short(self.values),
            "unit": self.unit,
            "limit": {"is": self.limit_is, **_short(self.limit)} if self.limit else None,
            "ratio": _short(self.ratio) or None,
            "aim": " and ".join(str(aim) for aim in self.aims) or None,
            "met": self.met,
            "cpu": _short(self.cpu) or None,
            "others": None if self.others is None else _round(self.others),
            "database": database,
            "note": self.note or None,
        }


def used_by(used: Used) -> dict[str, Any]:
    """The two members of a figure that tell who had the processor."""
    return {"cpu": used.cpu, "others": used.others}


def percentiles(seconds: Sequence[float], factor: float = 1000.0) -> dict[str, float]:
    """p50 and p99, in milliseconds unless another factor is given."""
    return {name: percentile(seconds, share) * factor for name, share in (("p50", 0.5), ("p99", 0.99))}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Report:
    """Prints each figure as soon as it is known."""

    def __init__(self, database: str) -> None:
        self._database = database
        self.figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(json.dumps(figure.as_json(self._database), ensure_ascii=False), flush=True)
        tell(_line(figure))


def tell(text: str) -> None:
    """For whoever watches; the figures themselves go to stdout."""
    print(text, file=sys.stderr, flush=True)


def _line(figure: Figure) -> str:
    values = ", ".join(f"{name} {_round(value):g}" for name, value in figure.values.items())
    ratio = ", ".join(f"{name} x{_round(value):g}" for name, value in figure.ratio.items())
    verdict = {True: "  met", False: "  MISSED", None: ""}[figure.met]
    aims = f"  [{' and '.join(str(aim) for aim in figure.aims)}]{verdict}" if figure.aims else ""
    return f"  {figure.name}: {values} {figure.unit}{f' ({ratio} the limit)' if ratio else ''}{aims}"


def _short(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _round(value) for name, value in values.items()}


def _round(value: float) -> float:
    """Four digits: more would promise what no machine keeps."""
    return float(f"{value:.4g}")
