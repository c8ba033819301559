"""YAML as a tools.yaml needs it: strictly read, by the core schema of YAML 1.2, each value with its place.

Anchors, tags, duplicate keys, keys that are no text and second documents are errors. `yes` and `on` are texts.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from signoff.errors import ConfigurationError

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 16
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,15}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}", re.ASCII)
_WORDS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
Path = tuple[str | int, ...]


class MissingExtra(Exception):
    """What reads YAML is not installed."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says, and where: `line L, column C` of each path in it."""

    data: Any
    places: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """Of the path, or of the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "line 1, column 1")


def read(text: str) -> Read:
    """Raises `ConfigurationError` with line and column."""
    yaml = _parser()
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigurationError(f"it is longer than {MAX_BYTES // 1024} KiB: tools need less.")
    try:
        _refuse_tricks(yaml, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark) if error.problem_mark else "line 1, column 1"
        raise ConfigurationError(f"{place}: {error.problem or 'this is not YAML'}.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"line 1, column 1: this is not YAML ({type(error).__name__}).") from None
    found = Read(None if root is None else _Walk(yaml).value(root, ()))
    if root is not None:
        _note(yaml, root, (), found.places)
    return found


def _parser() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("A tools.yaml needs a parser, which is an extra: pip install 'signoff[worker]'.") from error
    return yaml


def _refuse_tricks(yaml: Any, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"{_place(event.start_mark)}: nesting goes deeper than {MAX_DEPTH}.")
        if getattr(event, "anchor", None) is not None:
            raise ConfigurationError(f"{_place(event.start_mark)}: anchors and aliases are not taken; write it out.")
        if getattr(event, "tag", None) is not None:
            raise ConfigurationError(f"{_place(event.start_mark)}: tags are not taken; leave it out.")


class _Walk:
    """From nodes to data."""

    def __init__(self, yaml: Any) -> None:
        self._yaml = yaml

    def value(self, node: Any, path: Path) -> Any:
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(each, (*path, at)) for at, each in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node) if isinstance(key_node, self._yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise ConfigurationError(f"{_place(key_node.start_mark)}: a key is text; quote it.")
            if key in made:
                raise ConfigurationError(f"{_place(key_node.start_mark)}: {key!r:.100} stands here twice.")
            made[key] = self.value(value_node, (*path, key))
        return made


def _note(yaml: Any, node: Any, path: Path, places: dict[Path, str]) -> None:
    places[path] = _place(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            _note(yaml, value_node, (*path, key_node.value), places)
    elif isinstance(node, yaml.SequenceNode):
        for at, each in enumerate(node.value):
            _note(yaml, each, (*path, at), places)


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
