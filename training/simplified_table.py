"""Make the table that guard.simplify reads, from the dictionaries of the installed OpenCC.

Usage: ``python -m training.simplified_table [--output guard/simplified.tsv]``

A line is a traditional character or phrase and, behind a tab, its simplified form; of several forms the first, as
OpenCC's ``t2s`` chooses. Characters that stay as they are get no line; phrases all do, since a phrase that stays keeps
its characters from being read as part of another. A table of another edition changes what the classifier is shown:
raise ``guard.normalize.NORMALIZER_VERSION`` with it and train again.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import files
from pathlib import Path

from guard.simplify import TABLE

#: In the order in which OpenCC's ``t2s`` asks them.
_DICTIONARIES = ("TSPhrases", "TSCharactersExt", "TSCharacters")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=TABLE)
    args = parser.parse_args(argv)
    lines = table()
    args.output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    print(f"{args.output}: {len(lines)} lines")


def table() -> list[str]:
    """The table's lines, sorted.

    Raises:
        FileNotFoundError: The installed OpenCC brings no dictionaries.
        ValueError: An entry changes the length of a text; names it.
    """
    entries: dict[str, str] = {}
    for name in _DICTIONARIES:
        for line in _dump(name).splitlines():
            before, forms = line.split("\t")
            after = forms.split(" ")[0]
            if len(before) != len(after):
                raise ValueError(f"{name}: {before} becomes {after}: offsets need forms of the same length")
            if before != after or len(before) > 1:
                entries.setdefault(before, after)
    return [f"{before}\t{after}" for before, after in sorted(entries.items())]


def _dump(name: str) -> str:
    """A dictionary of the installed OpenCC as text, by its own ``opencc_dict``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.txt"
        dictionary = str(_file(f"{name}.ocd2"))
        command = [str(_file("opencc_dict")), "-i", dictionary, "-o", str(path), "-f", "ocd2", "-t", "text"]
        subprocess.run(command, check=True, capture_output=True)
        return path.read_text(encoding="utf-8")


def _file(name: str) -> Path:
    for path in files("opencc") or ():
        if path.name == name:
            return Path(str(path.locate()))
    raise FileNotFoundError(f"opencc: no {name} among its files; install the edition that pyproject.toml names")


if __name__ == "__main__":
    main()
