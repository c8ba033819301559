"""What cannot be seen is shown, for every character there is, and no text looks like another text's escape."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.protocol.visible import is_invisible, pieces, visible

# Default_Ignorable_Code_Point of the Unicode Character Database (DerivedCoreProperties.txt).
IGNORABLE = [
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
]
ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt\\]))")
QUOTED_ESCAPE = re.compile(ESCAPE.pattern.replace("[nrt", '["nrt'))
WRITTEN = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
NASTY = st.text(st.sampled_from(list('\\nrtuU0041"\n\t\x00\u202e\U000e0041 é')))
ANY = st.text(st.characters(exclude_categories=()))


def undone(shown: str, escape: re.Pattern[str] = ESCAPE) -> str:
    def back(found: re.Match[str]) -> str:
        if found[3]:
            return {"n": "\n", "r": "\r", "t": "\t"}.get(found[3], found[3])
        return chr(int(found[1] or found[2], 16))

    return escape.sub(back, shown)


def test_every_character_is_either_shown_as_it_is_or_escaped() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    ignorable = {code for first, last in IGNORABLE for code in range(first, last + 1)} | {0x2800, 0x1D159, 0x16FE4}
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in hidden or code in ignorable:
            assert is_invisible(character), hex(code)
            assert visible(character) == WRITTEN.get(
                character, f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            )
        else:
            assert visible(character) == character, hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 50.000,00 € – naïve 東京", "plain text, 50.000,00 € – naïve 東京"),
        ("a\u202eb", "a\\u202eb"),
        ("pay\u200bpal", "pay\\u200bpal"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\x9b2J", "\\u009b2J"),
        ("\x7f", "\\u007f"),
        ("one\ntwo\r\n\tthree", "one\\ntwo\\r\\n\\tthree"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\ue000", "\\ue000"),
        ("soft\u00adhyphen", "soft\\u00adhyphen"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("C:\\data", "C:\\data"),
        ("C:\\new", "C:\\\\new"),
        ("\\u202e", "\\\\u202e"),
        ("\\\n", "\\\\\\n"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.one_of(NASTY, ANY))
def test_nothing_invisible_is_left_and_it_can_be_undone(text: str) -> None:
    shown = visible(text)
    assert not any(map(is_invisible, shown))
    assert undone(shown) == text


@given(st.one_of(NASTY, ANY))
def test_a_quoted_text_ends_at_its_closing_quote(text: str) -> None:
    shown = visible(text, '"')
    assert undone(shown, QUOTED_ESCAPE) == text
    assert '"' not in QUOTED_ESCAPE.sub("", shown)
    assert not re.sub(r"\\\\", "", shown).endswith("\\")


@given(NASTY)
def test_there_is_one_piece_for_each_character(text: str) -> None:
    assert len(pieces(text)) == len(text)
    assert "".join(pieces(text)) == visible(text)
