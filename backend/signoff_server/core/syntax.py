"""The text of an expression as a tree, so that it can be judged before it runs.

Rules of the room: what is read here is a subset of the language (https://github.com/google/cel-spec), so that the
engine which runs an expression can read it in no other way: no bytes, unsigned numbers, raw or triple-quoted texts,
comments, messages or names with a leading dot. A tree is at most `MAX_DEPTH` high, an expression `MAX_LENGTH` long.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, NoReturn

from signoff_server.core.trees import (
    BINARY,
    Call,
    Index,
    Listing,
    Literal,
    Macro,
    Mapping,
    Member,
    Name,
    Tree,
    children,
)

MAX_LENGTH: Final = 2_000
MAX_TOKENS: Final = 500
MAX_DEPTH: Final = 24
MACROS: Final = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}
# Words of the language: no name is one, and only the first row may not stand behind a dot either.
_KEYWORDS: Final = frozenset(["in", "true", "false", "null"])
_RESERVED: Final = _KEYWORDS | {
    *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "namespace"),
    *("package", "return", "var", "void", "while"),
}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<float>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    | (?P<int>0x[0-9a-fA-F]+|\d+)
    | (?P<text>"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)


class SyntaxFault(Exception):
    """Not an expression, or not one of the part that is read; `at` counts the characters before the place."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def parse(text: str) -> Tree:
    """The tree of one whole expression. Raises `SyntaxFault`."""
    if len(text) > MAX_LENGTH:
        raise SyntaxFault(0, f"an expression has at most {MAX_LENGTH} characters, not {len(text)}")
    parser = _Parser(text, list(islice(tokens(text), MAX_TOKENS + 1)))
    if len(parser.tokens) > MAX_TOKENS:
        raise SyntaxFault(0, f"an expression has at most {MAX_TOKENS} words and signs")
    tree = parser.expression(MAX_DEPTH)
    parser.expect("end")
    _check_height(tree, MAX_DEPTH)
    return tree


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Words and signs from `start` on, up to a token of kind `end`; a sign is its own kind. Raises `SyntaxFault`."""
    at = start
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            raise SyntaxFault(at, _unread(text[at:].lstrip()))
        kind = found.lastgroup or "end"
        word = found[kind]
        yield Token(word if kind == "sign" else kind, word, found.start(kind))
        if kind == "end":
            return
        at = found.end()


def _unread(rest: str) -> str:
    if rest.startswith(('"', "'")):
        return "this text does not end on its line"
    if rest.startswith("${{"):
        return "here an expression stands bare, without ${{ and }}"
    if rest.startswith("="):
        return "to compare, write =="
    return f"{rest[0]!r} is not part of an expression"


def _check_height(tree: Tree, left: int) -> None:
    if left <= 0:
        raise SyntaxFault(tree.at, f"an expression nests at most {MAX_DEPTH} deep")
    for child in children(tree):
        _check_height(child, left - 1)


@dataclass(slots=True)
class _Parser:
    text: str
    tokens: list[Token]
    position: int = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def take(self, *kinds: str) -> Token | None:
        token = self.token
        if token.kind not in kinds:
            return None
        self.position += 1
        return token

    def expect(self, kind: str) -> Token:
        return self.take(kind) or self.refuse(kind)

    def refuse(self, wanted: str) -> NoReturn:
        wanted = {"end": "the end", "name": "a name"}.get(wanted, wanted)
        found = "the end" if self.token.kind == "end" else repr(self.token.text)
        raise SyntaxFault(self.token.at, f"{wanted} is wanted here, not {found}")

    def expression(self, left: int) -> Tree:
        """`left` tells how much deeper it may go."""
        if left <= 0:
            raise SyntaxFault(self.token.at, f"an expression nests at most {MAX_DEPTH} deep")
        tree = self.binary(1, left)
        if (sign := self.take("?")) is None:
            return tree
        first = self.binary(1, left)
        self.expect(":")
        return Call(sign.at, "?:", (tree, first, self.expression(left - 1)))

    def binary(self, level: int, left: int) -> Tree:
        """Operators of `level` and those that bind tighter; a chain of the same one is one call, so that it is flat."""
        tree = self.unary(left)
        while (found := BINARY.get(self.token.text if self.token.kind != "text" else "", 0)) >= level:
            sign = self.tokens[self.position]
            self.position += 1
            tree = _chained(sign, tree, self.binary(found + 1, left))
        return tree

    def unary(self, left: int) -> Tree:
        if sign := self.take("-", "!"):
            if self.token.kind in ("-", "!"):
                self.refuse("a value")
            operand = self.postfix(left)
            return Call(sign.at, "neg" if sign.kind == "-" else "!", (operand,))
        return self.postfix(left)

    def postfix(self, left: int) -> Tree:
        tree = self.primary(left)
        while sign := self.take(".", "["):
            if sign.kind == "[":
                key = self.expression(left - 1)
                self.expect("]")
                tree = _indexed(sign.at, tree, key)
            else:
                name = self.expect("name")
                if name.text in _KEYWORDS:
                    raise SyntaxFault(name.at, f'{name.text!r} is a word of the language: write ["{name.text}"]')
                tree = self.method(tree, name, left) if self.take("(") else Member(sign.at, tree, name.text)
        return tree

    def method(self, target: Tree, name: Token, left: int) -> Tree:
        parts = self.parts(")", left)
        if name.text not in MACROS:
            return Call(name.at, name.text, (target, *parts), method=True)
        if len(parts) not in MACROS[name.text]:
            raise SyntaxFault(name.at, f"{name.text} takes a name and an expression: items.{name.text}(item, …)")
        variable, *bodies = parts
        if not isinstance(variable, Name):
            raise SyntaxFault(variable.at, f"{name.text} takes a name first: items.{name.text}(item, …)")
        return Macro(name.at, name.text, target, variable.name, tuple(bodies))

    def primary(self, left: int) -> Tree:
        if self.token.kind not in ("int", "float", "text", "name", "(", "[", "{"):
            self.refuse("a value")
        token = self.token
        self.position += 1
        match token.kind:
            case "int":
                return Literal(token.at, _integer(token))
            case "float":
                return Literal(token.at, _float(token))
            case "text":
                return Literal(token.at, self.literal(token))
            case "name":
                return self.named(token, left)
            case "[":
                return Listing(token.at, self.parts("]", left))
            case "{":
                return Mapping(token.at, self.pairs(left))
        tree = self.expression(left - 1)
        self.expect(")")
        return tree

    def literal(self, token: Token) -> str:
        if self.token.kind == "text" and self.token.at == token.at + len(token.text):
            raise SyntaxFault(self.token.at, "two texts are put together with +; texts in three quotes are not read")
        return _unescaped(token)

    def named(self, token: Token, left: int) -> Tree:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in _RESERVED:
            raise SyntaxFault(token.at, f"{token.text!r} is a word of the language and no name")
        if self.take("("):
            return Call(token.at, token.text, self.parts(")", left))
        glued = self.token.kind == "text" and self.token.at == token.at + len(token.text)
        if glued:
            raise SyntaxFault(token.at, "raw texts and bytes are not read: write a text in plain quotes")
        return Name(token.at, token.text)

    def parts(self, close: str, left: int) -> tuple[Tree, ...]:
        found: list[Tree] = []
        while not self.take(close):
            if found:
                self.expect(",")
            found.append(self.expression(left - 1))
        return tuple(found)

    def pairs(self, left: int) -> tuple[Tree, ...]:
        found: list[Tree] = []
        while not self.take("}"):
            if found:
                self.expect(",")
            found.append(self.expression(left - 1))
            self.expect(":")
            found.append(self.expression(left - 1))
        return tuple(found)


def _chained(sign: Token, first: Tree, second: Tree) -> Tree:
    chain = (
        isinstance(first, Call) and first.name == sign.text and sign.text in ("+", "*", "&&", "||") and not first.method
    )
    if chain and isinstance(first, Call):
        return Call(first.at, first.name, (*first.parts, second))
    return Call(sign.at, sign.text, (first, second))


def _indexed(at: int, tree: Tree, key: Tree) -> Tree:
    if isinstance(key, Literal) and isinstance(key.value, str):
        return Member(at, tree, key.value, quoted=True)
    return Index(at, tree, key)


def _integer(token: Token) -> int:
    value = int(token.text, 0 if token.text.startswith("0x") else 10) if len(token.text) <= 24 else 2**63
    if value >= 2**53:
        raise SyntaxFault(token.at, "a number lies within ±(2^53 − 1)")
    return value


def _float(token: Token) -> float:
    value = float(token.text) if len(token.text) <= 64 else math.inf
    if not math.isfinite(value):
        raise SyntaxFault(token.at, "a number is finite and has at most 64 characters")
    return value


def _unescaped(token: Token) -> str:
    return _ESCAPE.sub(lambda found: _escaped(found, token.at), token.text[1:-1])


def _escaped(found: re.Match[str], at: int) -> str:
    code = found[1] or found[2] or found[3]
    if code is None:
        if found[4] not in _ESCAPES and found[4] not in "\\\"'`?":
            raise SyntaxFault(at + 1 + found.start(), f"\\{found[4]} is no escape; a backslash is written \\\\")
        return _ESCAPES.get(found[4], found[4])
    number = int(code, 16)
    if number == 0 or 0xD800 <= number < 0xE000 or number > 0x10FFFF:
        raise SyntaxFault(at + 1 + found.start(), f"U+{code} is not allowed in text")
    return chr(number)
