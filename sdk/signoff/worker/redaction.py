"""Keeps secrets out of all that is shown: each one is replaced, also as it looks in URLs, JSON and base64.

A secret in base64 is found wherever it stands inside what was encoded, as the password of `user:password` does: its
bytes have three alignments there, and each leaves a middle part that does not depend on its neighbours.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

REDACTED: Final = "[redacted]"
# Shorter ones are parts of ordinary words and numbers: replacing them would spoil what tools return.
SHORTEST: Final = 6


class Redactor:
    """Replaces the secrets that it was made with."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first, so that of a form that holds another one nothing is left.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def data(self, value: Any) -> Any:
        """JSON data with every text in it redacted, keys included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.data(each) for key, each in value.items()}
        return value


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for encoded in (quote(secret, safe=""), quote_plus(secret), quote(secret)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    for offset in range(3):
        yield from _inside_base64(secret.encode(), offset)


def _inside_base64(secret: bytes, offset: int) -> Iterator[str]:
    """What is surely seen of it in base64 when it begins at a byte whose number leaves `offset` by three."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(bytes(offset) + secret).decode().rstrip("=")
        first = (0, 2, 3)[offset]
        # The last sign holds bits of what follows, unless the bytes end with it.
        last = len(text) if (offset + len(secret)) % 3 == 0 else len(text) - 1
        yield text[first:last]
