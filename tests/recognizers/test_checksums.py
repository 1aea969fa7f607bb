"""The checksums agree with python-stdnum, which is not part of the installation."""

from __future__ import annotations

from types import ModuleType

import pytest
import stdnum.br.cpf
import stdnum.cn.ric
import stdnum.es.dni
import stdnum.es.nie
import stdnum.fr.nir
import stdnum.gb.nhs
import stdnum.in_.aadhaar
import stdnum.isbn
import stdnum.iso7064.mod_97_10
import stdnum.it.codicefiscale
import stdnum.kr.rrn
import stdnum.luhn
import stdnum.us.ssn
import stdnum.verhoeff
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalize import normalize
from guard.recognizers import RECOGNIZERS, detect
from guard.recognizers import national_id as ids
from guard.recognizers.checksums import CHECKSUMS, Checksum, luhn, mod11_2, mod97, verhoeff, weighted_mod11


def _digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


@given(_digits(2, 30))
def test_sums_over_digits(text: str) -> None:
    """Luhn and Verhoeff hold for exactly the numbers that the reference accepts."""
    assert luhn(text) == stdnum.luhn.is_valid(text)
    assert verhoeff(text) == stdnum.verhoeff.is_valid(text)


@given(_digits(9, 9), st.sampled_from("0123456789X"))
def test_weights_that_fall_to_one(number: str, check: str) -> None:
    """An ISBN-10 and a British NHS number are both checked so."""
    assert weighted_mod11(number + check) == (stdnum.isbn.is_valid(number + check))
    if check != "X":
        assert weighted_mod11(number + check) == stdnum.gb.nhs.is_valid(number + check)


@given(st.dates().filter(lambda day: day.year >= 1900), st.integers(0, 999), st.sampled_from("0123456789X"))
def test_resident_identity_numbers(day: object, order: int, check: str) -> None:
    """The check character of a Chinese number is the reference's."""
    number = f"110105{day:%Y%m%d}{order:03}{check}"
    assert mod11_2(number) == (stdnum.cn.ric.calc_check_digit(number) == check)


@given(st.sampled_from(["DE", "GB", "FR", "NL", "CH"]), st.integers(2, 98), _digits(11, 26))
@example("DE", 89, "370400440532013000")
def test_bank_accounts(country: str, check: int, rest: str) -> None:
    """The account's checksum is the reference's."""
    text = f"{country}{check:02}"
    assert mod97(text + rest) == stdnum.iso7064.mod_97_10.is_valid(rest + text)


_CHECKED = [
    (ids.brazil, stdnum.br.cpf, "11144477735"),
    (ids.india, stdnum.in_.aadhaar, "234123412346"),
    (ids.korea, stdnum.kr.rrn, "9001011234568"),
    (ids.france, stdnum.fr.nir, "255081416802538"),
]


@pytest.mark.parametrize(("check", "reference", "number"), _CHECKED)
def test_numbers_of_other_countries(check: Checksum, reference: ModuleType, number: str) -> None:
    """Around a sound number exactly those variants are sound that the reference accepts."""
    assert check(number)
    for at in range(1, len(number)):
        for digit in "0123456789":
            variant = number[:at] + digit + number[at + 1 :]
            if reference is stdnum.kr.rrn and variant[7:11] != number[7:11]:
                continue  # the reference also knows the places of registration
            assert check(variant) == reference.is_valid(variant), variant


def test_numbers_with_letters() -> None:
    """Every letter but the right one is refused."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for letter in letters:
        assert ids.spain(f"12345678{letter}") == stdnum.es.dni.is_valid(f"12345678{letter}")
        assert ids.spain(f"X1234567{letter}") == stdnum.es.nie.is_valid(f"X1234567{letter}")
        code = f"RSSMRA85T10A562{letter}"
        assert ids.italy(code) == stdnum.it.codicefiscale.is_valid(code)


@given(_digits(9, 9))
@example("078051120")
@example("219099999")
def test_american_numbers(number: str) -> None:
    """With the word beside it a Social Security number is found if the reference accepts it."""
    dashed = f"{number[:3]}-{number[3:5]}-{number[5:]}"
    found = [d.source for d in detect(normalize(f"SSN {dashed}"))]
    assert ("ssn" in found) == stdnum.us.ssn.is_valid(dashed)


@given(st.text(), st.sampled_from(sorted(CHECKSUMS)))
def test_any_text_can_be_asked(text: str, name: str) -> None:
    """A checksum answers whatever a policy's pattern matched, however long and strange."""
    assert CHECKSUMS[name](text) in {True, False}
    assert CHECKSUMS[name]("7" * 20_000) in {True, False}


@given(st.text("0123456789ABCDEFGHXYZ()- ", max_size=24))
def test_no_form_breaks_the_search(text: str) -> None:
    """Whatever has the form of a number is checked without an error."""
    assert RECOGNIZERS["national_id"].find(f"ID {text}") is not None
