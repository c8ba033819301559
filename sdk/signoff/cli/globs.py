"""Globs as the server reads them: `*` any run of characters, `?` one, nothing else is special."""

import re
from collections.abc import Callable


def matcher(glob: str) -> Callable[[str], bool]:
    """Whether a whole text fits `glob`."""
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in glob)
    pattern = re.compile("".join(parts), re.DOTALL)
    return lambda text: pattern.fullmatch(text) is not None
