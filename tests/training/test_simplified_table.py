"""The table of simplified characters against OpenCC itself."""

import unicodedata
from pathlib import Path

from opencc import OpenCC

from guard.simplify import TABLE, simplify
from training.simplified_table import main, table


def test_the_table_is_what_opencc_says(tmp_path: Path) -> None:
    """The committed table is the one that the script writes from the pinned OpenCC."""
    main(["--output", str(tmp_path / "simplified.tsv")])
    assert (tmp_path / "simplified.tsv").read_bytes() == TABLE.read_bytes()


def test_texts_become_what_opencc_makes_of_them() -> None:
    """Every entry, alone and run together with its neighbours, gives what OpenCC's t2s gives."""
    t2s = OpenCC("t2s").convert
    entries = [unicodedata.normalize("NFKC", line.split("\t")[0]) for line in table()]
    texts = [*entries, *("".join(pair) for pair in zip(entries, entries[7:] + entries[:7], strict=True))]
    assert [text for text in texts if simplify(text) != t2s(text)] == []
