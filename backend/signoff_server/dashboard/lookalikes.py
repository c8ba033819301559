"""Characters that look like other ones: letters of another script, letters in disguise, marks heaped on one another.

A word that mixes Latin with a script that has letters of the same looks is marked where it mixes; so is a word made
only of such letters, unless it stands among words that are plainly of its script ("а с ним" is Russian, "аррӏе" alone
is not). Fullwidth, mathematical and enclosed letters and digits are those that compatibility normalisation changes
(UAX 15, NFKC). The idea is that of the Unicode security mechanisms (UTS 39), without its tables.

Rules of the room: pure functions of a text. Ordinary writing in any language stays unmarked; where that and a warning
cannot both be had, only single words without company are warned of.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

# The categories of marks that are drawn on the character before them.
STACKED: Final = ("Mn", "Me")
_HEAP: Final = re.compile("m{4,}")
_MOST_MARKS: Final = 3
# Script, by the first word of its letters' names -> its letters that are drawn like Latin ones or digits. A mixture
# with one of these is no accident; of scripts that are written with Latin words in between and no space (Japanese,
# Thai, Arabic …) none is here.
_ALIKE: Final[dict[str, frozenset[str]]] = {
    "CYRILLIC": frozenset("асеорхуѕіјһԁԛԝӏѵьүҽԍАВЕЗКМНОРСТУХЅІЈҺԌԚԜҮ"),
    "GREEK": frozenset("αγικνορσυχϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ"),
    "ARMENIAN": frozenset("օոսհցզյաքլՕՍՏԼՀ"),
    "CHEROKEE": frozenset("ᎠᎡᎢᎥᎩᎪᎫᎬᎳᎷᎻᎽᏀᏂᏃᏎᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏳᏴꭰꭱꭲꭵꮃꮇꮋꮍꮐꮓꮢꮤꮥꮩꮪꮮꮯꮲꮶᏻᏼ"),
    "COPTIC": frozenset("ⲀⲁⲂⲈⲎⲒⲔⲘⲚⲞⲟⲢⲣⲤⲥⲦⲨⲩⲬⲭⲌ"),
    "LISU": frozenset(chr(code) for code in range(0xA4D0, 0xA4F8)),
    "DESERET": frozenset("𐐄𐐕𐐛𐐠𐐬𐐽𐑇𐑈"),
    "GOTHIC": frozenset("𐌰𐌱𐌲𐌴𐌹𐌺𐌼𐌽𐍂𐍃𐍄𐍇𐍈"),
    "GEORGIAN": frozenset("ყიოჿ"),
    "OSAGE": frozenset("𐒴𐓂𐓎𐓪𐓶"),
    "CANADIAN": frozenset("ᐯᑌᑭᑯᑲᒍᒪᖴᗅᗞᗪᗰᗷ᙭ᑕ"),
    "TIFINAGH": frozenset("ⴸⵀⵁⵏⵔⵕⵝⵑ"),
}
# Latin letters that are drawn like more usual ones.
_UNUSUAL: Final = frozenset("ɑɡɩʋᴄᴏᴠᴡᴢꜱǀǃ")
# How a character may be told from what it is normalised to: drawn raised or lowered, as a fraction, half as wide.
_DIFFERENT: Final = ("<super>", "<sub>", "<fraction>", "<narrow>", "<vertical>")
_ENCLOSED: Final = ("<circle>", "<square>")


# One character for each of a text: what it is, so that words are found and looked at by few steps.
_LATIN, _OUR_DIGIT, _OTHER_DIGIT, _MARK, _OTHER_LETTER, _NO_WORD = "ld9mx "
# Script -> the codes of its letters that look like Latin ones, and of those that do not.
_PAIR: Final = {script: (chr(0xE000 + 2 * at), chr(0xE001 + 2 * at)) for at, script in enumerate(_ALIKE)}
_PLAINLY: Final = frozenset(plainly for _, plainly in _PAIR.values())
# Code of a letter -> that of its script.
_SCRIPT: Final = {_LATIN: _LATIN, **{code: pair[0] for pair in _PAIR.values() for code in pair}}
_IN_WORDS: Final = re.compile("[^ ]+")
_KNOWN: Final = 20_000


class _Codes(dict[int, str]):
    """Code point -> code."""

    def __missing__(self, point: int) -> str:
        code = _code(chr(point))
        if len(self) < _KNOWN:
            self[point] = code
        return code


def odd_places(text: str) -> frozenset[int]:
    """The indices of what looks like something else in `text`."""
    if text.isascii():
        return frozenset()
    codes = text.translate(_CODES)
    heaped = (at for heap in _HEAP.finditer(codes) for at in range(heap.start() + _MOST_MARKS, heap.end()))
    return frozenset((*_disguised(text), *heaped, *_foreign(codes)))


def _disguised(text: str) -> list[int]:
    odd = [re.escape(character) for character in set(text) if not character.isascii() and is_disguised(character)]
    return [found.start() for found in re.finditer(f"[{''.join(odd)}]", text)] if odd else []


@lru_cache(maxsize=16_384)
def is_disguised(character: str) -> bool:
    """Whether this is an ordinary letter or digit in another dress: fullwidth, mathematical, enclosed, a ligature."""
    if character in _UNUSUAL:
        return True
    tag = unicodedata.decomposition(character).partition(" ")[0]
    if not tag or tag in _DIFFERENT or unicodedata.category(character)[0] not in "LNS":
        return False
    plain = unicodedata.normalize("NFKC", character)
    if plain == character or (not tag.startswith("<") and len(plain) > 1):
        return False
    if unicodedata.category(character) == "So" and tag not in _ENCLOSED and plain[0] != "(":
        # Signs like ℃ and № are what they say; a letter in a circle, a square or brackets is a letter.
        return False
    if tag == "<square>" and len(plain) > 1:
        return False
    bare = plain.lstrip("(")[:1]
    return (bare.isascii() and bare.isalnum()) or tag == "<font>"


def _foreign(codes: str) -> list[int]:
    """Letters and digits that are of another script than they seem to be."""
    words = [(word.start(), word[0], _scripts(word[0])) for word in _IN_WORDS.finditer(codes)]
    found = [start + at for start, word, _ in words for at in _strange_digits(word)]
    lettered = [each for each in words if each[2]]
    # Words of one script in a row; a mixture has the key "".
    for script, row in groupby(lettered, lambda each: each[2] if len(each[2]) == 1 else ""):
        together = list(row)
        if not script:
            found += [start + at for start, word, scripts in together for at in _mixed(word, scripts)]
        elif script != _LATIN and all(_only_alike(word) for _, word, _ in together):
            found += [start + at for start, word, _ in together for at in _of(script, word)]
    return found


@lru_cache(maxsize=4_096)
def _scripts(word: str) -> str:
    """The scripts of a word's letters, each once, in their order."""
    return "".join(dict.fromkeys(_SCRIPT[code] for code in word if code in _SCRIPT))


def _of(script: str, word: str) -> list[int]:
    return [at for at, code in enumerate(word) if _SCRIPT.get(code) == script]


def _mixed(word: str, scripts: str) -> list[int]:
    """Where a word leaves the script that it seems to be written in."""
    others = [script for script in scripts if script != _LATIN]
    if _LATIN in scripts and _only_alike(word):
        return [at for script in others for at in _of(script, word)]
    most = max(scripts, key=lambda script: (len(_of(script, word)), script == _LATIN))
    return [at for script in scripts if script != most for at in _of(script, word)]


def _only_alike(word: str) -> bool:
    """Whether no letter of another script in it is plainly of that script."""
    return not any(code in _PLAINLY for code in word)


def _strange_digits(word: str) -> Sequence[int]:
    """Digits of another script in a number that has ours."""
    if _OTHER_DIGIT not in word or _OUR_DIGIT not in word:
        return ()
    return [at for at, code in enumerate(word) if code == _OTHER_DIGIT]


def _code(character: str) -> str:
    if unicodedata.category(character) in STACKED:
        return _MARK
    if character.isdecimal():
        return _OUR_DIGIT if character.isascii() else _OTHER_DIGIT
    if not character.isalpha():
        return _OTHER_LETTER if character.isalnum() else _NO_WORD
    script = unicodedata.name(character, "").partition(" ")[0]
    if script == "LATIN":
        return _LATIN
    if script not in _ALIKE:
        return _OTHER_LETTER
    pair = _PAIR[script]
    return pair[0] if character in _ALIKE[script] else pair[1]


_CODES: Final = _Codes()
