"""The text of API keys: `sgo_<environment>_<id>_<secret><crc>`.

Rules of the room: the secret is 256 random bits in 52 characters; the last 7 characters are the CRC-32 of all before
them, so that a mistyped key, or a string that only looks like one, is told apart without asking the database. Only a
SHA-256 of the whole text is ever stored.
"""

import hashlib
import re
import zlib
from typing import Final, NamedTuple

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_FORM: Final = re.compile(r"sgo_(dev|test|live)_([0-9a-z]{26})_([0-9a-z]{52})([0-9a-z]{7})", re.ASCII)


class ParsedKey(NamedTuple):
    environment: str
    id: str


def crockford(data: bytes) -> str:
    """Base32 in Crockford's alphabet, lower case, most significant bits first, without padding."""
    number, length = int.from_bytes(data), -(-len(data) * 8 // 5)
    pairs = [_PAIRS[number >> (10 * place) & 1023] for place in range(-(-length // 2) - 1, -1, -1)]
    return "".join(pairs)[-length:]


def make(environment: str, key_id: str, secret: bytes) -> str:
    """The key whose id is `key_…`, from 32 random bytes."""
    text = f"sgo_{environment}_{key_id.removeprefix('key_')}_{crockford(secret)}"
    return text + _crc(text)


def parse(text: str) -> ParsedKey | None:
    """Environment and id of a key, None for what cannot be one."""
    found = _FORM.fullmatch(text)
    if found is None or _crc(text[:-7]) != found[4]:
        return None
    return ParsedKey(found[1], f"key_{found[2]}")


def digest(text: str) -> str:
    """Hex SHA-256 of the whole key."""
    return hashlib.sha256(text.encode()).hexdigest()


def hint(environment: str, key_id: str) -> str:
    """How the key begins: enough to tell it from others, nothing of its secret."""
    return f"sgo_{environment}_{key_id.removeprefix('key_')}_…"


def _crc(text: str) -> str:
    return crockford(zlib.crc32(text.encode()).to_bytes(4))
