from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece as ReferenceModel
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from guard.classifier.artifact import DEFAULT_MODEL_DIR, FILES
from guard.classifier.wordpiece import Encoding, WordPiece
from guard.errors import ArtifactError

_LETTERS = [chr(c) for c in range(0x21, 0x250)] + list("ßαβγдж한ᄒ你好爱天安门炸弹。，！？…“”—𠮷豈")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_WORDS = ["un", "##aff", "##able", "linux", "kill", "[SEP]", "##好"]


def _reference(*, lowercase: bool = True) -> Tokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS, *_LETTERS, *("##" + c for c in _LETTERS)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(ReferenceModel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.encode_special_tokens = True
    return tokenizer


def _ours(reference: Tokenizer, directory: Path) -> WordPiece:
    reference.save(str(directory / FILES.tokenizer))
    return WordPiece.from_file(directory / FILES.tokenizer)


@pytest.fixture(scope="module", params=[True, False], ids=["lowercase", "cased"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[WordPiece, Tokenizer]:
    """The same tokenizer twice: ours and the reference."""
    reference = _reference(lowercase=request.param)
    return _ours(reference, tmp_path_factory.mktemp("wordpiece")), reference


# Characters whose properties no release of Unicode since the reference's tables has changed or added.
_TEXT_CHARACTERS = st.characters(max_codepoint=0x24F)
_TEXT = st.text(st.one_of(st.sampled_from([*_LETTERS, " ", "\t", "\u3000"]), _TEXT_CHARACTERS))


@given(text=_TEXT)
def test_equals_the_reference(pair: tuple[WordPiece, Tokenizer], text: str) -> None:
    """Any text gives the reference implementation's ids and offsets."""
    ours, reference = pair
    expected = reference.encode(text, add_special_tokens=False)
    found = ours.encode(text)
    assert found.ids == expected.ids
    assert found.offsets == expected.offsets


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \u3000\n",
        "Unaffable linux",
        "How to kill a Linux process?",
        "我爱北京天安门，天安门上太阳升。",
        "Ünïcödé Straße ΑΒΓ",
        "e\u0301a\u0308",
        "한국어",
        "[SEP] [CLS] text",
        "a" * 100 + " " + "a" * 101,
        "𠮷野家 \uf900",
        "tab\tand\nnewline\rend",
        "\x0bvertical\x0cform\x85next",
        "emoji 😀 and \ufffd and \ue000",
        "100%-'quoted'_under",
    ],
)
def test_equals_the_reference_on_hard_cases(pair: tuple[WordPiece, Tokenizer], text: str) -> None:
    """Spaces, accents, CJK, jamo, long words, controls and spelt special tokens go as in the reference."""
    ours, reference = pair
    expected = reference.encode(text, add_special_tokens=False)
    assert ours.encode(text).ids == expected.ids
    assert ours.encode(text).offsets == expected.offsets


def test_equals_the_reference_on_every_character(pair: tuple[WordPiece, Tokenizer]) -> None:
    """Every character of old standing, between two letters, gives the reference's ids."""
    ours, reference = pair
    # The reference's tables are those of an older Unicode: compare what has not changed since 3.2. Of the ideographs
    # and syllables, which are alike, every 31st is enough.
    old = unicodedata.ucd_3_2_0
    chars = [c for c in map(chr, range(0xD800)) if old.category(c) == unicodedata.category(c) != "Cn"]
    texts = [f"a{c}b" for i, c in enumerate(chars) if old.category(c) != "Lo" or i % 31 == 0]
    texts += [f"a{chr(c)}b" for c in (0xE000, 0xF900, 0xFB01, 0xFE30, 0xFF01, 0x20000, 0x2A6D6, 0x1D165, 0x2F800)]
    expected = reference.encode_batch(texts, add_special_tokens=False)
    differing = [hex(ord(t[1])) for t, e in zip(texts, expected, strict=True) if ours.encode(t).ids != e.ids]
    assert differing == []


def _spelt_out(found: Encoding, tokenizer: WordPiece, text: str) -> list[tuple[int | None, tuple[int, int]]]:
    """Ids and offsets with every Chinese word as its characters, which is what the reference gives."""
    out: list[tuple[int | None, tuple[int, int]]] = []
    for token, (start, end) in zip(found.ids, found.offsets, strict=True):
        if end - start > 1 and _CHINESE.match(text[start]):
            out += [(tokenizer.token_to_id(text[place]), (place, place + 1)) for place in range(start, end)]
        else:
            out.append((token, (start, end)))
    return out


def test_shipped_tokenizer_equals_the_reference() -> None:
    """The shipped model's tokenizer gives the reference's tokens, Chinese words apart, whose characters are those."""
    file = DEFAULT_MODEL_DIR / FILES.tokenizer
    reference = Tokenizer.from_file(str(file))
    reference.encode_special_tokens = True
    ours = WordPiece.from_file(file)
    for text in (
        "How to kill a Linux process?",
        "我爱北京天安门，天安门上太阳升。",
        "在Linux里怎么杀死进程 process 的子进程",
        "Café №5 — “quoted” 10,5 €",
        "😀👍🏽 ok",
    ):
        expected = reference.encode(text, add_special_tokens=False)
        assert _spelt_out(ours.encode(text), ours, text) == list(zip(expected.ids, expected.offsets, strict=True))


# "天安门" begins with the word "天安" and overlaps "安门口"; "口" alone is not known.
_CHINESE_WORDS = ("北京", "天安门", "天安", "安门口", "你好", "爱好者们")
_CHINESE_CHARACTERS = "我爱北京天安门你好者们，。"
_ENTRIES = (
    "[UNK]",
    *"abcdefghijklmnopqrstuvwxyz0123456789",
    *("##" + c for c in "abcdefghijklmnopqrstuvwxyz"),
    *_LETTERS,
)
_WITH_WORDS = WordPiece(
    {e: i for i, e in enumerate(dict.fromkeys([*_ENTRIES, *_CHINESE_CHARACTERS, *_CHINESE_WORDS, "linux", "##ux"]))}
)
_NAMES = {index: entry for entry, index in _WITH_WORDS._vocabulary.items()}


def _pieces(text: str) -> list[str]:
    return [_NAMES[token] for token in _WITH_WORDS.encode(text).ids]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("我爱北京天安门", ["我", "爱", "北京", "天安门"]),
        ("天安", ["天安"]),
        ("天安门口", ["天安门", "[UNK]"]),
        ("安门口", ["安门口"]),
        ("安门", ["安", "门"]),
        ("你好你好", ["你好", "你好"]),
        ("爱好者", ["爱", "好", "者"]),
        ("爱好者们", ["爱好者们"]),
    ],
)
def test_the_longest_chinese_word_is_taken(text: str, pieces: list[str]) -> None:
    """Neighbouring Chinese characters become the longest words of the vocabulary, from left to right."""
    assert _pieces(text) == pieces


def test_an_unknown_chinese_character_is_unknown_alone() -> None:
    """A character that the vocabulary lacks hides none of its neighbours."""
    found = _WITH_WORDS.encode("北京龘龘天安门")
    assert [_NAMES[token] for token in found.ids] == ["北京", "[UNK]", "[UNK]", "天安门"]
    assert found.offsets == [(0, 2), (2, 3), (3, 4), (4, 7)]


@pytest.mark.parametrize("between", [" ", "\u3000", "\n", "\t", "，", "a", "1", ".", "😀"])
def test_a_word_does_not_reach_over_what_stands_between(between: str) -> None:
    """Spaces, punctuation and other scripts end a run of Chinese characters; no word spans them."""
    found = _WITH_WORDS.encode(f"北{between}京天{between}安门")
    covered = [f"北{between}京天{between}安门"[start:end] for start, end in found.offsets]
    assert [text for text in covered if text != between] == ["北", "京", "天", "安", "门"]


def test_scripts_may_stand_side_by_side() -> None:
    """Chinese words, Latin words and digits that touch are told apart, each with its own place."""
    text = "在Linux北京abc天安门2天安"
    found = _WITH_WORDS.encode(text)
    covered = [text[start:end] for start, end in found.offsets]
    assert covered == ["在", "Linux", "北京", "a", "b", "c", "天安门", "2", "天安"]
    assert _NAMES[found.ids[1]] == "linux" and _NAMES[found.ids[4]] == "##b"


@pytest.mark.parametrize("mark", ["\u0301", "\u200b", "\u0000", "\ufe0f"])
def test_marks_and_invisible_characters_do_not_break_a_word(mark: str) -> None:
    """What leaves no character behind keeps a Chinese word together, and the word's place reaches over it."""
    found = _WITH_WORDS.encode(f"我天{mark}安门好")
    assert [_NAMES[token] for token in found.ids] == ["我", "天安门", "好"]
    assert found.offsets == [(0, 1), (1, 5), (5, 6)]


def test_compatibility_ideographs_are_matched_in_their_plain_form() -> None:
    """An ideograph of the compatibility block is looked up as the one it stands for, in words too."""
    tokenizer = WordPiece({"[UNK]": 0, "豈": 1, "有": 2, "豈有": 3})
    assert tokenizer.encode("\uf900有").ids == [3]
    assert tokenizer.encode("\uf900").offsets == [(0, 1)]


def test_words_of_other_scripts_are_no_chinese_words() -> None:
    """A vocabulary whose only long entries are of other scripts, or continue a word, is matched a character a token."""
    tokenizer = WordPiece({"[UNK]": 0, "你": 1, "好": 2, "##你好": 3, "a你好": 4, "hello": 5})
    assert tokenizer.encode("你好hello你好").ids == [1, 2, 5, 1, 2]


_MIXED = st.text(
    st.one_of(st.sampled_from([*"北京天安门口你好爱者们龘abzé0.，。 \n\u3000\u0301\u200b", "😀"]), _TEXT_CHARACTERS)
)


@given(text=_MIXED)
def test_offsets_cover_every_visible_character(text: str) -> None:
    """Tokens stand in order, do not overlap, and together cover every character that is neither space nor mark."""
    found = _WITH_WORDS.encode(text)
    assert len(found.ids) == len(found.offsets)
    assert all(start < end for start, end in found.offsets)
    covered = [place for start, end in found.offsets for place in range(start, end)]
    assert sorted(set(covered)) == covered
    for place in set(range(len(text))) - set(covered):
        piece = _WITH_WORDS._classify(text[place])
        assert piece is None or piece.text == ""


@given(text=_MIXED)
def test_words_only_join_what_single_characters_give(text: str) -> None:
    """With the words taken apart a text has the tokens that it has without any words in the vocabulary."""
    entries = {entry: index for entry, index in _WITH_WORDS._vocabulary.items() if entry not in _CHINESE_WORDS}
    single, found = WordPiece(entries).encode(text), _WITH_WORDS.encode(text)
    assert len(found.ids) <= len(single.ids)
    starts = {start for start, _ in single.offsets}
    assert {start for start, _ in found.offsets} <= starts
    words = {_WITH_WORDS.token_to_id(word) for word in _CHINESE_WORDS}
    joined = [place for token, place in zip(found.ids, found.offsets, strict=True) if token in words]
    others = [pair for pair in zip(found.ids, found.offsets, strict=True) if pair[0] not in words]
    inside = {place for start, end in joined for place in range(start, end)}
    assert others == [pair for pair in zip(single.ids, single.offsets, strict=True) if pair[1][0] not in inside]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_refuses_what_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    """A file that is no tokenizer is refused by name."""
    file = tmp_path / FILES.tokenizer
    file.write_text(content)
    with pytest.raises(ArtifactError, match=FILES.tokenizer):
        WordPiece.from_file(file)


def test_refuses_another_kind(tmp_path: Path) -> None:
    """A tokenizer of another kind is refused, with its kind."""
    file = tmp_path / FILES.tokenizer
    _reference().save(str(file))
    raw = json.loads(file.read_text())
    raw["pre_tokenizer"] = {"type": "Whitespace"}
    file.write_text(json.dumps(raw))
    with pytest.raises(ArtifactError, match="Whitespace"):
        WordPiece.from_file(file)


def test_long_words_are_read_if_the_file_says_so(tmp_path: Path) -> None:
    """A word of a thousand characters is split as the reference does where the tokenizer's file allows it."""
    reference = _reference()
    reference.model.max_input_chars_per_word = 1000
    ours = _ours(reference, tmp_path)
    for word, known in (("unaffablelinuxkill" * 50, True), ("x" * 1000, True), ("y" * 1001, False)):
        expected = reference.encode(word, add_special_tokens=False)
        assert (len(expected.ids) > 1) is known
        assert (ours.encode(word).ids, ours.encode(word).offsets) == (expected.ids, expected.offsets)


def test_long_words_are_not_remembered(tmp_path: Path) -> None:
    """What is remembered of texts is bounded: words only, and no more characters than there is room for."""
    tokenizer = _ours(_reference(), tmp_path)
    for text in ("a" * 100, "b" * 101, "好" + "c" * 5000):
        tokenizer.encode(text)
    assert tokenizer._cached_word.cache_info().currsize == 2  # the first one and 好
    for start in range(0x4E00, 0x4E00 + 0x20000, 0x1000):
        tokenizer.encode("".join(map(chr, range(start, start + 0x1000))).encode(errors="ignore").decode())
    assert len(tokenizer._pieces) == 1 << 16
    assert tokenizer.encode("\U00024dff好").ids == [tokenizer.token_to_id("[UNK]"), tokenizer.token_to_id("好")]
