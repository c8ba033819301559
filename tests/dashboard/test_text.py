"""What others wrote is shown whole: nothing in it is hidden, acts, or passes for something else."""

import re
import time
import unicodedata
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.protocol.visible import is_invisible, visible
from signoff_server.dashboard.lookalikes import STACKED, is_disguised, odd_places
from signoff_server.dashboard.text import brief, number, seen, seen_lines

ORDINARY = [
    "Pay 50,000.00 EUR to DE89 3704 0044 0532 0130 00",
    "Привет, мир! Оплата а с ним, о ней и у неё: 500 рублей",
    "а 500 рублей",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "Ελληνικά και αγγλικά, ο ίδιος",
    "Հայաստանի Հանրապետություն",
    "საქართველო",
    "日本語のテキスト、Tシャツ、ABC株式会社、ｶﾀｶﾅ、！",
    "中文和English混排",
    "한국어 텍스트 test",
    "ผมใช้iPhoneทุกวัน",
    "العربية ١٢٣ و English",
    "עברית",
    "हिन्दी में लिखा हुआ",
    "Việt Nam, café, naïve, Ångström, Łódź, İstanbul, ıssız, ĐẶNG",
    unicodedata.normalize("NFD", "Việt Nam, café"),
    "m², ½, 10 µs, 20 ℃, № 5, €, §, …, ™, ª",
    "🙂 ❤️ 👩‍💻 👨‍👩‍👧 👍🏽 🇩🇪 1️⃣",
    "",
]
# Text -> the characters in it that are marked, in their order.
ODD = [
    ("раypal", "ра"),
    ("pаypаl", "аа"),
    ("аррӏе", "аррӏе"),
    ("pay раура now", "раура"),
    ("СССР", "СССР"),
    ("Москвa", "a"),
    ("gοοgle", "οο"),
    ("ΑΒΒ", "ΑΒΒ"),
    ("hօme", "օ"),
    ("Ꭺpple", "Ꭺ"),
    ("ꓑay", "ꓑ"),
    ("1٥0", "٥"),
    ("ＡＢＣ １２", "ＡＢＣ１２"),
    ("𝐩𝐚𝐲 𝟏", "𝐩𝐚𝐲𝟏"),
    ("① ⒜ Ⓐ 🄰", "①⒜Ⓐ🄰"),
    ("ﬁle", "ﬁ"),
    ("ſecret", "ſ"),
    ("Ⅰ", "Ⅰ"),
    ("\u212aelvin", "\u212a"),
    ("ɡoogle", "ɡ"),
    ("z" + "\u0335" * 5, "\u0335\u0335"),
    ("pay\u200bраl", "ра"),
]
SPECIAL = st.text(st.sampled_from(list("<>&\"'\\nu aаΑ\u0301\u200b\u202e\ufe0f❤\n\t５𝐩")))
ANY = st.text(st.characters(exclude_categories=()))


def bare(html: str) -> str:
    """The text of it."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def marked(html: str) -> list[int]:
    """The code points that a mark names."""
    return [int(found, 16) for found in re.findall(r'<mark class="odd" title="U\+([0-9A-F]+) ', html)]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_writing_is_not_marked(text: str) -> None:
    assert seen(text) == text.replace("'", "&#39;")


@pytest.mark.parametrize(("text", "odd"), ODD)
def test_what_looks_like_something_else_is_marked(text: str, odd: str) -> None:
    assert marked(seen(text)) == [ord(character) for character in odd]


def test_a_mark_says_which_character_it_is() -> None:
    assert seen("pаy") == 'p<mark class="odd" title="U+0430 CYRILLIC SMALL LETTER A">а</mark>y'


def test_what_cannot_be_seen_is_drawn_as_its_escape() -> None:
    shown = seen("a\u202eb\u200b\x1b\n")
    assert bare(shown) == "a\\u202eb\\u200b\\u001b\\n"
    assert 'title="U+202E RIGHT-TO-LEFT OVERRIDE"' in shown


def test_lines_can_be_kept_and_their_ends_are_still_drawn() -> None:
    assert bare(seen_lines("a\nb")) == "a\\n\nb"


def test_a_style_selector_is_left_to_emoji_alone() -> None:
    assert bare(seen("❤\ufe0f")) == "❤\ufe0f"
    assert bare(seen("a\ufe0f b\u200dc")) == "a\\ufe0f b\\u200dc"
    assert bare(seen("❤\ufe0f\ufe0f")) == "❤\ufe0f\\ufe0f"
    assert bare(seen("\u200d")) == "\\u200d"


@given(SPECIAL | ANY)
def test_nothing_goes_out_unescaped_and_nothing_is_lost(text: str) -> None:
    shown = seen(text)
    rest = re.sub(r'<(span class="unseen"|mark class="odd") title="[^"<>]*">|</(span|mark)>', "", shown)
    assert "<" not in rest
    assert ">" not in rest
    assert '"' not in rest
    # Only marks that would cover what they are heaped on, and the joints of emoji, are drawn otherwise.
    heaped = any(unicodedata.category(text[at]) in STACKED for at in odd_places(text))
    if not heaped and "\ufe0f" not in text and "\u200d" not in text:
        assert bare(shown) == visible(text)


@given(ANY)
def test_what_is_kept_unescaped_can_be_seen(text: str) -> None:
    left = [character for character in bare(seen(text)) if is_invisible(character)]
    assert set(left) <= {"\ufe0f", "\u200d"}


def test_every_character_alone() -> None:
    """None of them breaks out, and none that is invisible stays so: all to U+32FF, and each 7th of the rest."""
    codes = [code for code in (*range(0x3300), *range(0x3300, 0x110000, 7)) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), 0x1000):
        text = " ".join(chr(code) for code in codes[start : start + 0x1000])
        shown = bare(seen(text))
        assert not any(is_invisible(character) for character in shown), hex(start)


def test_no_letter_of_ordinary_latin_is_disguised() -> None:
    ordinary = [chr(code) for code in range(0xC0, 0x180) if chr(code) not in "ŉſĲĳĿŀ"]
    assert not [character for character in ordinary if is_disguised(character)]


def test_places_are_those_of_the_text() -> None:
    assert odd_places("ab раypal") == {3, 4}
    assert odd_places("plain") == frozenset()


def test_a_beginning_says_that_it_is_one() -> None:
    assert brief("short", 10) == "short"
    assert bare(brief("x" * 50, 10)) == "x" * 10 + "…"
    assert len(brief("\u202e" * 500, 400, room=1_000)) < 1_100


def test_numbers_stand_as_json_writes_them() -> None:
    assert [number(each) for each in (50000, 1.0, 1e21, 0.1, -0.0)] == ["50000", "1.0", "1e+21", "0.1", "-0.0"]


@pytest.mark.parametrize(
    "text",
    [
        "a line of text\n" * 4_400,
        "привет мир " * 3_200,
        "раypal " * 7_000,
        "\\n" * 32_768,
        "z" + "\u0335" * 32_000,
        "\u202e" * 21_000,
        "".join(chr(0x4E00 + at % 20_000) for at in range(21_800)),
    ],
    ids=["lines", "russian", "mixed", "backslashes", "heap", "bidi", "chinese"],
)
def test_64_kib_take_no_time(text: str) -> None:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        seen(text)
        took.append(time.perf_counter() - begun)
    # 50 ms on an idle machine, and this one need not be.
    assert min(took) < 0.15
