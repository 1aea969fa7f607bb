"""Make the tables that guard.unmask reads: look-alikes, English words, Chinese words and pairs.

Usage:
    python -m training.unmask_tables --confusables confusables.txt --english american-english \
        [--vocabulary guard/models/default/tokenizer.json] [--output guard/unmask/tables]

- ``lookalikes.tsv``: characters that look like a Latin letter and that level 1 leaves as they are. From Unicode's
  confusables.txt (UTS #39, https://www.unicode.org/Public/security/), from character names (small capitals, negative
  circled and squared letters, regional indicators) and from a short list of letters that are used although they only
  resemble (``к`` for k).
- ``english.txt``: the lower-case words of a word list (SCOWL's, Debian package ``wamerican``) and the
  longer ones of the vocabulary, in the order of the vocabulary, which is that of their frequency.
- ``chinese.txt``: the frequent words of two and three characters of jieba's dictionary, two characters first.

The tables are data: any edition of the sources will do, and a newer one changes what is found, never a model.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from guard.normalize import normalize

_ENTRY = re.compile(r"^([0-9A-F]+)\s*;\s*([0-9A-F ]+?)\s*;\s*MA\b")
_NAMED = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER"
    r"|CROSSED NEGATIVE SQUARED LATIN CAPITAL LETTER|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])"
)
# Letters that evaders use although Unicode finds them too unlike: lower case, and the faux Cyrillic of posters.
_RESEMBLING: Mapping[str, str] = {
    "к": "k", "т": "t", "м": "m", "н": "h", "в": "b", "г": "r", "п": "n", "ь": "b", "Я": "R", "И": "N", "Ц": "U",
    "κ": "k", "τ": "t", "η": "n", "ε": "e", "β": "b", "ω": "w", "υ": "u", "χ": "x", "μ": "u", "π": "n", "Σ": "E",
    "Λ": "A", "є": "e", "ԍ": "g", "ɢ": "g", "ꜰ": "f", "ꜱ": "s",
}  # fmt: skip
_SHORT_WORDS = (
    "a", "i", "am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no", "of",
    "oh", "ok", "on", "or", "so", "to", "up", "us", "we",
)  # fmt: skip
_LONGEST = 16
#: Least frequency in jieba's dictionary, by length.
_FREQUENT = {2: 20, 3: 50}


def confusables(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of character and Latin letter from the lines of confusables.txt; others of its entries are passed over."""
    for line in lines:
        entry = _ENTRY.match(line.lstrip("\ufeff"))
        if not entry or " " in entry[2]:
            continue
        char, letter = chr(int(entry[1], 16)), chr(int(entry[2], 16))
        if letter.isascii() and letter.isalpha() and not char.isascii():
            yield char, letter


def lookalikes(lines: Sequence[str]) -> dict[str, str]:
    """Character -> Latin letter, of those characters that are letters or symbols and that level 1 keeps."""
    found = dict(confusables(lines))
    for code in range(0x80, sys.maxunicode + 1):
        if named := _NAMED.fullmatch(unicodedata.name(chr(code), "")):
            found.setdefault(chr(code), named[1].lower())
    found |= _RESEMBLING
    # Unicode takes capital I, small l and the digit one for the same shape; case says which is meant.
    for char, letter in found.items():
        if letter == "l" and char != char.lower() and found.get(char.lower()) == "i":
            found[char] = "I"
    return {char: letter for char, letter in sorted(found.items()) if _lasting(char)}


def _lasting(char: str) -> bool:
    kind = unicodedata.category(char)
    return (kind[0] == "L" or kind == "So") and normalize(char).text == char and not _is_wide(char)


def _is_wide(char: str) -> bool:
    """Chinese and Japanese characters: they resemble letters to nobody who reads them."""
    return unicodedata.east_asian_width(char) in "WF"


def english(words: Sequence[str], vocabulary: Mapping[str, int]) -> list[str]:
    """Lower-case words of three to sixteen letters and a few shorter ones, the most frequent first.

    Of the vocabulary those of five letters and more count as well: names, and what is spelled otherwise in Britain.
    """
    words = [*words, *(word for word in vocabulary if len(word) >= 5)]
    kept = {word for word in words if word.isascii() and word.isalpha() and word.islower()}
    kept = {word for word in kept if 3 <= len(word) <= _LONGEST} | set(_SHORT_WORDS)
    return sorted(kept, key=lambda word: (vocabulary.get(word, len(vocabulary)), word))


def chinese(lines: Sequence[str]) -> list[str]:
    """Frequent words of two and of three characters, sorted; lines are ``word frequency tag``."""
    found = [(parts[0], int(parts[1])) for line in lines if len(parts := line.split()) >= 2]
    kept = {word for word, count in found if len(word) in _FREQUENT and count >= _FREQUENT[len(word)]}
    return sorted((w for w in kept if all("\u4e00" <= c <= "\u9fff" for c in w)), key=lambda w: (len(w), w))


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Make the tables of guard.unmask.")
    parser.add_argument("--confusables", type=Path, required=True, help="Unicode's confusables.txt")
    parser.add_argument("--english", type=Path, required=True, help="word list, one a line")
    parser.add_argument("--vocabulary", type=Path, default=Path("guard/models/default/tokenizer.json"))
    parser.add_argument("--output", type=Path, default=Path("guard/unmask/tables"))
    given = parser.parse_args()
    import jieba  # of the extra `train`

    vocabulary = json.loads(given.vocabulary.read_text(encoding="utf-8"))["model"]["vocab"]
    dictionary = Path(jieba.__file__).with_name("dict.txt")
    table = lookalikes(given.confusables.read_text(encoding="utf-8").splitlines())
    rows = {
        "lookalikes.tsv": [f"{ord(c):04X}\t{letter}\t{unicodedata.name(c, '?')}" for c, letter in table.items()],
        "english.txt": english(given.english.read_text(encoding="utf-8").splitlines(), vocabulary),
        "chinese.txt": chinese(dictionary.read_text(encoding="utf-8").splitlines()),
    }
    for name, lines in rows.items():
        (given.output / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines)}")


if __name__ == "__main__":
    main()
