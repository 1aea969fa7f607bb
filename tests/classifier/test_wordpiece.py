from __future__ import annotations

import json
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
from guard.classifier.wordpiece import WordPiece
from guard.errors import ArtifactError

_LETTERS = [chr(c) for c in range(0x21, 0x250)] + list("ßαβγдж한ᄒ你好爱天安门炸弹。，！？…“”—𠮷豈")
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
_TEXT = st.text(st.one_of(st.sampled_from([*_LETTERS, " ", "\t", "\u3000"]), st.characters(max_codepoint=0x24F)))


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


def test_shipped_tokenizer_equals_the_reference() -> None:
    """The shipped model's tokenizer file gives the same tokens in both implementations."""
    file = DEFAULT_MODEL_DIR / FILES.tokenizer
    reference = Tokenizer.from_file(str(file))
    reference.encode_special_tokens = True
    ours = WordPiece.from_file(file)
    for text in (
        "How to kill a Linux process?",
        "我爱北京天安门，天安门上太阳升。",
        "Café №5 — “quoted” 10,5 €",
        "😀👍🏽 ok",
    ):
        expected = reference.encode(text, add_special_tokens=False)
        assert ours.encode(text).ids == expected.ids
        assert ours.encode(text).offsets == expected.offsets


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
