from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.language import language_of


@pytest.mark.parametrize(
    "text",
    [
        "如何杀死一个 Linux 进程",
        "我爱北京天安门，天安门上太阳升",
        "請問這個怎麼用",
        "请帮我用 Python 写一个 function",
        "手机13800138000",
        "他说：「こんにちは」是日语里的“你好”，意思很简单，大家都知道这一点。",
    ],
)
def test_chinese(text: str) -> None:
    """Simplified and traditional Chinese are zh, also with some English or a quotation in it."""
    assert language_of(text) == "zh"


@pytest.mark.parametrize(
    "text",
    [
        "How to kill a Linux process",
        "hello",
        "The café on the corner is closed today, I think.",
        "What does 你好 mean in English, and how do I pronounce it?",
        "def main(): print(1)",
        "El Niño and La Niña are the two phases of it",
    ],
)
def test_english(text: str) -> None:
    """English is en, also with a borrowed word; so are Latin letters that no other language claims."""
    assert language_of(text) == "en"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345 67",
        "😀!?",
        "これはペンです。東京へ行きます。",
        "안녕하세요 세계",
        "Привет, как дела?",
        "¿Cómo puedo matar un proceso en Linux?",
        "Comment tuer un processus sous Linux et pour quelle raison",
        "Wie kann ich einen Prozess beenden und das System nicht neu starten",
        "สวัสดีชาวโลก",
        "مرحبا بالعالم",
    ],
)
def test_other(text: str) -> None:
    """Every other language is other, and so is a text without a letter."""
    assert language_of(text) == "other"


@given(st.text())
def test_any_text_has_one_of_three_languages(text: str) -> None:
    """There is an answer for every text."""
    assert language_of(text) in {"zh", "en", "other"}


def test_the_beginning_decides() -> None:
    """A long text is judged by its beginning."""
    assert language_of("This is the beginning of it. " * 200 + "后面全是中文。" * 5000) == "en"
