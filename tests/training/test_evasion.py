"""Evasions: each changes what it should, is decided by its seed, and the normaliser undoes what it promises to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalize import normalize
from training.evasion import TRANSFORMS, disguise

_ENGLISH = "Please tell me where the biggest snake in this house sleeps tonight"
_CHINESE = "请告诉我这间屋子里最大的那条蛇今天晚上在哪里睡觉"
_CASES = [(name, lang) for name, (_, langs) in TRANSFORMS.items() for lang in langs]


def _apply(name: str, text: str, seed: int = 0) -> str:
    return TRANSFORMS[name][0](text, np.random.default_rng(seed))


def _sample(lang: str) -> str:
    return _ENGLISH if lang == "en" else _CHINESE


@pytest.mark.parametrize(("name", "lang"), _CASES)
def test_every_transform_touches_a_text_of_its_language(name: str, lang: str) -> None:
    """A suitable text is changed whatever the seed, and most of it stays readable."""
    text = _sample(lang)
    for seed in range(20):
        changed = _apply(name, text, seed)
        assert changed != text
        assert changed.strip()
        if name != "traditional":
            assert sum(char in changed for char in text) >= 0.5 * len(text)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("text", ["", " ", "\n", "12 + 3!"])
def test_a_text_with_nothing_to_disguise_survives(name: str, text: str) -> None:
    """An empty text, or one without letters, comes through with all that can be seen of it."""
    assert _apply(name, text).replace("\u200b", "") == text


@pytest.mark.parametrize(("name", "lang"), _CASES)
def test_the_generator_decides(name: str, lang: str) -> None:
    """The same seed gives the same text."""
    for seed in range(5):
        assert _apply(name, _sample(lang), seed) == _apply(name, _sample(lang), seed)


@pytest.mark.parametrize(
    ("name", "lang"), [case for case in _CASES if case[0] in ("wide", "zero_width", "traditional")]
)
def test_the_normaliser_undoes_what_it_promises_to(name: str, lang: str) -> None:
    """Full-width letters, invisible characters and traditional characters do not reach the model."""
    for seed in range(20):
        assert normalize(_apply(name, _sample(lang), seed)).text == _sample(lang)


@given(text=st.text(st.sampled_from([*"abcXYZ 好蛇在,.-1", "\n", "😀"]), max_size=60), seed=st.integers(0, 99))
def test_invisible_and_wide_letters_are_undone_in_any_text(text: str, seed: int) -> None:
    """Whatever the text, zero-width characters and full-width letters leave no trace after normalisation."""
    assert normalize(_apply("zero_width", text, seed)).text == normalize(text).text
    assert normalize(_apply("wide", text, seed)).text == normalize(text).text


def test_transforms_write_what_their_names_say() -> None:
    """Each transform has the form that it stands for."""
    assert _apply("leet", "cat") in {"c47", "c@7"}
    assert _apply("spaced", "snake") in {"s n a k e", "s.n.a.k.e", "s-n-a-k-e", "s_n_a_k_e"}
    assert _apply("lookalike", "space") == "\u0455\u0440\u0430\u0441\u0435"
    assert _apply("wide", "abc") == "\uff41\uff42\uff43"
    assert _apply("traditional", "东门") == "東門"
    assert _apply("emoji", "a Snake and 一条蛇") == "a 🐍 and 一条🐍"
    found = _apply("symbols", "河马")
    assert (found[0], found[-1], len(found)) == ("河", "马", 3)


def test_homophones_have_the_same_sound() -> None:
    """A character is replaced by another of its reading, tone included; characters without one stay."""
    seen = {_apply("homophone", "礼", seed) for seed in range(60)}
    assert {"里", "理", "李"} <= seen and not seen & {"礼", "利", "立", "离"}
    assert _apply("homophone", "在") in {"再", "载"}
    assert _apply("homophone", "abc 嫑") == "abc 嫑"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_disguise_is_one_of_the_languages_transforms(lang: str) -> None:
    """Over many draws every transform of the language is used, and the same seed draws the same one."""
    text = _sample(lang)
    drawn = [disguise(text, lang, np.random.default_rng(seed)) for seed in range(80)]
    assert drawn == [disguise(text, lang, np.random.default_rng(seed)) for seed in range(80)]
    assert all(found != text for found in drawn)
    wanted = {"en": ("leet", "spaced", "lookalike", "wide", "zero_width", "emoji"), "zh": ("symbols", "traditional")}
    marks = {
        "leet": "4@3!0$7",
        "spaced": "._",
        "lookalike": "аео",
        "wide": "ａｅｉｏ",
        "zero_width": "\u200b",
        "emoji": "🐍🏠",
    }
    marks |= {"symbols": "*·|/~❤★", "traditional": "請"}
    assert all(any(set(marks[name]) & set(found) for found in drawn) for name in wanted[lang])


def test_what_nothing_touches_stays() -> None:
    """A text that no transform changes is given back."""
    assert disguise("", "en", np.random.default_rng(0)) == ""
    assert disguise("hello", "fr", np.random.default_rng(0)) == "hello"
