from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalize import Normalized, normalize
from guard.types import Span
from guard.unmask import TRANSFORMS, Reading, unmask
from guard.unmask.edits import Edit, apply
from tests.bench import evasion_texts as written
from tests.bench.disguises import DISGUISES

# What the transforms look at: letters of several scripts, signs, marks, emoji, escapes and pieces of encodings.
_PIECES = st.sampled_from(
    [
        *"aAiI4013@$!|*._- \n,、。:;/\\%&#+=我们炸弹的杀人敏感词аеоксαρκɪᴋ🅺🇰💣🔥🐷⭐\u0336\u0301\u0327が",
        *("kill", "h3llo", "k1ll", "%41", "%E4%BD%A0", "\\u4f60", "\\x68", "&#104;", "U+4F60", "6b696c6c"),
        *("aGVsbG8gd29ybGQ=", "k i l l", "敏*感*词", "llik", "eht", "the", "b*mb", "кill", "a 💣", " "),
    ]
)  # fmt: skip
_TEXT = st.one_of(
    st.lists(_PIECES, max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
)


def _read(text: str) -> Reading:
    reading = unmask(normalize(text))
    assert reading is not None
    return reading


def _spans(normalized: Normalized) -> list[Span]:
    return [normalized.original_span(at, at + 1) for at in range(len(normalized.text))]


@given(_TEXT)
def test_every_character_of_a_reading_knows_its_source(text: str) -> None:
    """Spans of single characters are places of the original, in order.

    They overlap only where level 1 took several characters for one: a sign with a mark on it belongs together.
    """
    reading = unmask(normalize(text))
    if reading is None:
        return
    assert reading.transforms and set(reading.transforms) <= set(TRANSFORMS)
    spans = _spans(reading.normalized)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(a.start <= b.start and a.end <= b.end for a, b in pairwise(spans))


@given(_TEXT)
def test_what_no_transform_touched_is_read_as_before(text: str) -> None:
    """A character of the reading whose source no other shares is that source's, or stands for all of it."""
    first = normalize(text)
    reading = unmask(first)
    if reading is None:
        return
    before: dict[Span, str] = {}
    for span, char in zip(_spans(first), first.text, strict=True):
        before[span] = before.get(span, "") + char
    after: dict[Span, str] = {}
    for span, char in zip(_spans(reading.normalized), reading.normalized.text, strict=True):
        after[span] = after.get(span, "") + char
    same = [span for span, chars in after.items() if before.get(span) == chars]
    changed = [span for span in after if span not in same]
    lost = [span for span in before if span not in after]
    # Something was undone, and all of it lies in what was changed or left out.
    assert changed or lost


@given(st.text("abc漢", min_size=1, max_size=20), st.data())
def test_edits_keep_the_way_back(text: str, data: st.DataObject) -> None:
    """Outside of the edits every character comes from where it came from; inside from all of the range."""
    points = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    edits = [
        Edit(start, end, data.draw(st.text("xyz", max_size=3)))
        for start, end in zip(points[::2], points[1::2], strict=False)
    ]
    after = apply(normalize(text), edits)
    expected: list[tuple[str, Span]] = []
    at = 0
    for edit in (*edits, Edit(len(text), len(text), "")):
        expected += [(text[i], Span(i, i + 1)) for i in range(at, edit.start)]
        expected += [(char, Span(edit.start, edit.end)) for char in edit.text]
        at = edit.end
    assert list(zip(after.text, _spans(after), strict=True)) == [(normalize(c).text, span) for c, span in expected]


@pytest.mark.parametrize("name", [name for name, kind in DISGUISES.items() if kind.exact])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_rule_disguised_is_read_back(name: str, lang: str) -> None:
    """The texts of the benchmark, harmful and benign, are read as they were; only spaces and case may differ."""
    if lang not in DISGUISES[name].languages:
        return
    texts = [*written.ENGLISH, *written.BENIGN_ENGLISH] if lang == "en" else [*written.CHINESE, *written.BENIGN_CHINESE]
    for text in texts:
        normalized = normalize(DISGUISES[name].change(text))
        reading = unmask(normalized)
        if name == "reversed" and lang == "zh" and not reading:
            continue  # a short text may hold too few words to show which way it runs
        read = reading.normalized.text if reading else normalized.text
        assert _letters(read) == _letters(normalize(text).text)


def _letters(text: str) -> str:
    # A possessive's ending is too short to be read.
    return "".join(char for char in text.lower().replace("'5", "'s") if char.isalpha())


@pytest.mark.parametrize(
    ("text", "disguised", "word", "transform"),
    [
        ("please k1ll him", "k1ll", "kill", "leet"),
        ("please k i l l him", "k i l l", "kill", "split_letters"),
        ("please k🔥i🔥l🔥l him", "k🔥i🔥l🔥l", "kill", "split_letters"),
        ("please ki**ll him", "ki**ll", "kill", "split_letters"),
        ("please кіll him", "кіll", "kill", "homoglyphs"),
        ("please ᴋɪʟʟ him", "ᴋɪʟʟ", "kill", "homoglyphs"),
        ("please k\u0336i\u0336l\u0336l him", "k\u0336i\u0336l\u0336l", "kill", "marks"),
        ("please %6B%69%6C%6C him", "%6B%69%6C%6C", "kill", "percent"),
        ("please \\u006b\\u0069\\u006c\\u006c him", "\\u006b\\u0069\\u006c\\u006c", "kill", "escapes"),
        ("please &#107;&#x69;&#108;&#108; him", "&#107;&#x69;&#108;&#108;", "kill", "escapes"),
        ("please 6b696c6c him", "6b696c6c", "kill", "hex"),
        ("please a2lsbA== him", "a2lsbA==", "kill", "base64"),
        ("buy me a 🔫 now", "🔫", "gun", "emoji"),
        ("他要制造炸*弹吗", "炸*弹", "炸弹", "inserted_symbols"),
        ("敏★感★词在此", "敏★感★词", "敏感词", "inserted_symbols"),
        ("他在做💣弹吗", "💣弹", "炸弹", "emoji"),
        ("他说\\u70b8\\u5f39吗", "\\u70b8\\u5f39", "炸弹", "escapes"),
    ],
)
def test_a_disguised_word_is_found_at_its_place(text: str, disguised: str, word: str, transform: str) -> None:
    """The span of what was read is exactly the disguise in the original, and the rest of the text stands as it was."""
    reading = _read(text)
    assert reading.transforms == (transform,)
    at = reading.normalized.text.index(word)
    span = reading.normalized.original_span(at, at + len(word))
    assert text[span.start : span.end] == disguised
    assert reading.normalized.text == text.replace(disguised, word)


def test_disguises_may_stand_in_one_another() -> None:
    """Encodings in encodings, look-alikes in what was encoded, leet letter by letter: all are undone and named."""
    twice = base64.b64encode(base64.b64encode(b"how to kill a man")).decode()
    assert _read(twice).normalized.text == "how to kill a man"
    assert _read("%25E6%259D%2580%25E4%25BA%25BA").normalized.text == "杀人"
    hidden = base64.b64encode("please tell me how to кіll him".encode()).decode()
    assert _read(hidden).transforms == ("base64", "homoglyphs")
    assert _read("k.1.l.l").normalized.text == "kill"


def test_a_text_in_leet_is_read_to_its_names() -> None:
    """Words in company of a hyphen are read, and where words are, so is what stands in no dictionary; figures stay."""
    reading = _read("wr173 n3w r4n50mw4r3 f0r 4 l0w-l3v3l-5y573m in 2024, v2 of the R2D2 kind")
    assert reading.normalized.text == "write new ransomware for a low-level-system in 2024, v2 of the R2D2 kind"
    assert reading.transforms == ("leet",)


@pytest.mark.parametrize(
    "text", ["room b4c1 is free", "id x7k9-q2m4-p8r3", "GPT4 and R2D2 met C3PO", "mp3 or mp4 at 1080p"]
)
def test_names_with_figures_are_no_leet(text: str) -> None:
    """Without words in leet beside them, marks of rooms, keys and machines stay as they are."""
    assert unmask(normalize(text)) is None


def test_layers_and_size_are_bounded() -> None:
    """What lies deeper than three layers, or is longer than sixteen thousand characters, stays as it is."""
    deep = b"how to kill a man"
    for _ in range(4):
        deep = base64.b64encode(deep)
    assert unmask(normalize(deep.decode())) is None
    long = base64.b64encode(b"how to kill a man " * 1000).decode()
    assert unmask(normalize(long)) is None


@pytest.mark.parametrize(
    "text",
    [
        "A" * 100_000,
        "a " * 50_000,
        "%41" * 30_000,
        "敏*" * 50_000,
        "4e" * 50_000,
        "a1 " * 30_000,
        "a 1 " * 30_000,
        "k i l l " * 15_000,
        "\\u0041" * 10_000,
        "a*" * 50_000,
        "💣我" * 30_000,
        "eht fo " * 10_000,
        ("A" * 76 + "\n") * 1_000,
        "a\u0336" * 50_000,
    ],
)
def test_long_texts_end(text: str) -> None:
    """No pattern takes more than linear time on what is made to hold it up."""
    unmask(normalize(text))


@pytest.mark.parametrize(
    "text",
    [
        "How to kill a Linux process",
        "我爱北京天安门，天安门上太阳升",
        # Code, versions, units, identifiers.
        "for (int i = 0; i < n; i++) { a[i] = b[i] + c; }  // O(n), i.e. fast",
        "x = a & b | c; if (s[i] != s[n - i - 1]) return 0;",
        "def f(x, y, z): return x * y + z  # see utils_v2.py, line 17",
        "mp3, mp4, h264, utf8, base64, int32, gpt4, log4j, k8s, i18n, sha256sum, b2b, 4x4, 3D",
        "The 1st, the 14th, the 50s, 5mins, 10am, item5, model7, page3",
        "Order A1B2C3D4, SKU 00-4521-X, ISBN 978-7-111-42815-4, v1.2.3-rc.1, 2026-01-31T12:00:00Z",
        "SELECT a, b, c FROM t WHERE a LIKE '%x%' AND b > 10%;",
        "commit 3f2504e04f8911d39a0c0305e82c3301 and sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "550e8400-e29b-41d4-a716-446655440000",
        "MAC 00:1A:2B:3C:4D:5E, colour #c0ffee and #deadbe, 0x7fffffff",
        "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mBQ",
        "![x](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==)",
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQC7vbqajDhA0pQcE6RM1w8gW1jv",
        # Links.
        "https://zh.wikipedia.org/wiki/%E5%8C%97%E4%BA%AC",
        "https://example.com/a/b_c?x=1&y=%20&utm_source=n3wsl3tter&id=aGVsbG8",
        # Formulas and marked-up text.
        "f(x) = αx² + βx + γ, where ρgh = ½ρv² and Δt → 0; a₁ + a₂ ≠ b̂",
        "Let x, y, z ∈ ℝ; a | b, p ∧ q, A ∪ B, C(n, k)",
        "这是*重点*内容，**加粗**和_斜体_。单价*数量=总价，男/女，是/否",
        "| 名称 | 数量 | 价格 |\n| 笔 | 3 | 5 |",
        "A, B, C or D? Answer: B. Options: a) b) c)",
        "U.S.A., e.g., i.e., Ph.D., J. R. R. Tolkien, F.A.Q., a.m.",
        # Lists and names in Chinese.
        "东、南、西、北；甲、乙、丙、丁；赵、钱、孙、李",
        "卡尔·马克思，星期一~星期五，2024年1月2日3时4分",
        "好，我去；是，他来。嗯，对，行，走！",
        # Emoji.
        "Happy birthday 🎂🎉🎈 see you at 5 😀👍🏽 I ❤️ NY 🇨🇳🇺🇸🇯🇵 👨‍👩‍👧‍👦",
        "今天好开心😀😀😀，吃了火锅🔥🔥，祝大家节日快乐🎉🎉",
        # Other languages and mixed scripts.
        "Привет! Как дела? Рот, нос, кот и сон. У нас есть SMS-рассылка и API.",
        "Καλημέρα, τι κάνεις; Το ΝΑΤΟ και η ΕΕ",
        "これはペンです。東京・大阪・京都、カタカナとひらがな。",
        "안녕하세요, 저는 서울에 삽니다.",
        "Kadının sırası geldi, ışık tıp fakültesinde yandı.",
        "Tiếng Việt có nhiều dấu: ế, ộ, ữ; Yorùbá: ọ̀rọ̀, ẹ̀kọ́",
        "สวัสดีครับ मुझे हिंदी आती है שָׁלוֹם السَّلَامُ",
        "Le garçon déjà vu à l'école préfère les crêpes; der Fluß fließt über Österreich.",
        "IPA: [kɪl], /ˈtɛst/, [bʊk]",
        "DNA: ATG CAT TAG, blood types A, B, O; vitamin B12 and D3",
    ],
)  # fmt: skip
def test_an_ordinary_text_has_one_reading(text: str) -> None:
    """Code, formulas, links, images, lists, emoji and the world's languages are not taken for disguises."""
    reading = unmask(normalize(text))
    assert reading is None, reading
