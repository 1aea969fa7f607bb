"""Identity numbers of some other countries, each by its own form and, but for the British one, its checksum.

Hong Kong identity cards, Taiwan's national identification numbers, Korean resident registration numbers,
Brazilian CPF, Spanish DNI and NIE, Italian codici fiscali, French NIR, Indian Aadhaar and British National
Insurance numbers. Where one in ten or twenty arbitrary codes has the form and passes the check, the score is
low unless a word for such a number stands near by, and lower still where the text calls it something else.

Found:
    - 香港身份证 [A123456(3)]
    - 台湾身份证字号 [A123456789]
    - 주민등록번호 [900101-1234568]
    - CPF [111.444.777-35]
    - O CPF dela é [11144477735].
    - DNI [12345678Z]
    - NIE: [X1234567L]
    - codice fiscale [RSSMRA85T10A562S]
    - NIR [2 55 08 14 168 025 38]
    - Aadhaar [2341 2341 2346]
    - National Insurance number [AB 12 34 56 C]
    - 他的 NINO 是 [AB123456C]

Not found:
    - 香港身份证 A123456(4)
    - 身份证 A123456788
    - 900101-1234567
    - CPF 111.444.777-36
    - CPF 111.111.111-11
    - DNI 12345678A
    - NIE X1234567A
    - codice fiscale RSSMRA85T10A562T
    - Aadhaar 2341 2341 2347
    - National Insurance number BG 12 34 56 C
    - 订单号 A123456789
    - 11144477735
    - SKU AB123456C
    - commit 12345678z
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from guard.recognizers.checksums import verhoeff
from guard.recognizers.labels import context, names_reference, near
from guard.recognizers.match import Match

_CONTEXT = context(
    "身份证|身分证|证件号|身份号|统一编号|识别号|주민|등록번호",
    "id card|identity|identification|id n|hkid|national id|national insurance|nino|ni number|cpf|dni|nie|nif"
    "|documento|codice fiscale|cod\\. ?fisc|nir|s[ée]curit[ée] sociale|aadhaar|aadhar|uidai|rrn|resident registration",
)


@dataclass(frozen=True, slots=True)
class _Form:
    """One country's number.

    Attributes:
        pattern: Its form; boundaries are added.
        sound: The check of what was matched.
        alone: The score without a word near by; 0 for a form that is found with one only.
        labelled: The score with one.
    """

    pattern: re.Pattern[str]
    sound: Callable[[str], bool]
    alone: float
    labelled: float = 0.95


def _form(pattern: str, sound: Callable[[str], bool], alone: float, labelled: float = 0.95) -> _Form:
    return _Form(re.compile(pattern), sound, alone, labelled)


def _values(text: str) -> list[int]:
    return [int(char, 36) for char in text if char.isalnum()]


def hong_kong(text: str) -> bool:
    """Weights 9 to 1 over two letters (a missing one counts 36), six digits and the check (0 to 9, A for ten)."""
    values = _values(text)
    values = [36, *values] if len(values) == 8 else values
    return sum(weight * value for weight, value in zip(range(9, 0, -1), values, strict=True)) % 11 == 0


def taiwan(text: str) -> bool:
    """A letter that stands for two digits, then weights 8 to 1 and a check digit."""
    place = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0]) + 10
    weights = (8, 7, 6, 5, 4, 3, 2, 1, 1)
    digits = map(int, text[1:])
    return (place // 10 + place % 10 * 9 + sum(w * d for w, d in zip(weights, digits, strict=True))) % 10 == 0


def korea(text: str) -> bool:
    """Birth date, century and sex, and a weighted check digit (numbers of before October 2020)."""
    digits = [int(char) for char in text if char.isdigit()]
    century = 1900 if digits[6] in {1, 2, 5, 6} else 2000 if digits[6] in {3, 4, 7, 8} else 1800
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    check = (11 - sum(w * d for w, d in zip(weights, digits, strict=False)) % 11) % 10
    return check == digits[12] and _is_date(century, digits)


def _is_date(century: int, digits: list[int]) -> bool:
    try:
        date(century + 10 * digits[0] + digits[1], 10 * digits[2] + digits[3], 10 * digits[4] + digits[5])
    except ValueError:
        return False
    return True


def brazil(text: str) -> bool:
    """Two check digits modulo 11; eleven equal digits satisfy them and are none."""
    digits = [int(char) for char in text if char.isdigit()]
    if len(set(digits)) == 1:
        return False
    checks = (sum((n + 1 - i) * digits[i] for i in range(n)) * 10 % 11 % 10 for n in (9, 10))
    return all(check == digit for check, digit in zip(checks, digits[9:], strict=True))


def spain(text: str) -> bool:
    """The number modulo 23 gives the letter; X, Y, Z in front of a foreigner's stand for 0, 1, 2."""
    plain = text.replace("-", "").replace(" ", "")
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        ),
        strict=True,
    )
)


def italy(text: str) -> bool:
    """Values by odd and even places, modulo 26 (Decreto del Ministero delle Finanze, 23 December 1976)."""
    even = sum(int(char) if char.isdigit() else ord(char) - ord("A") for char in text[1:15:2])
    return chr(ord("A") + (even + sum(_ODD[char] for char in text[:15:2])) % 26) == text[15]


def france(text: str) -> bool:
    """97 minus the number modulo 97; the departments 2A and 2B count as 19 and 18."""
    plain = text.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def india(text: str) -> bool:
    """Verhoeff's checksum over twelve digits that read differently backwards."""
    digits = re.sub("[^0-9]", "", text)
    return digits != digits[::-1] and verhoeff(digits)


def britain(text: str) -> bool:
    """No checksum; some prefixes are not given out."""
    return text[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


# A form with separators of its own is rarer among arbitrary codes than one of letters and digits alone.
_FORMS = (
    _form(r"[A-Z]{1,2}[0-9]{6} ?\([0-9A]\)", hong_kong, 0.8),
    _form(r"[A-Z]{1,2}[0-9]{6}[0-9A]", hong_kong, 0.0, 0.85),
    _form(r"[A-Z][1289][0-9]{8}", taiwan, 0.35),
    _form(r"[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]-[0-9]{7}", korea, 0.8),
    _form(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", brazil, 0.9),
    _form(r"[0-9]{11}", brazil, 0.0, 0.85),
    _form(r"(?:[0-9]{8}|[XYZ]-?[0-9]{7})[- ]?[A-HJ-NP-TV-Z]", spain, 0.35),
    _form(
        r"[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
        italy,
        0.9,
    ),
    _form(r"[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", france, 0.45),
    _form(r"[2-9][0-9]{3}(?:[0-9]{8}|(?: [0-9]{4}){2}|(?:-[0-9]{4}){2})", india, 0.0),
    _form(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D]", britain, 0.35, 0.9),
)
# One pass for all of them; which of them a candidate is, is asked of the few that there are.
_ANY = re.compile(
    rf"(?<![0-9A-Za-z_])(?<![0-9][-.])(?:{'|'.join(form.pattern.pattern for form in _FORMS)})(?![0-9A-Za-z_])"
)
# Most texts have no such digits, and then nothing else is looked at.
_DIGITS = re.compile("[0-9](?:[ .-]?[0-9]){5}|[0-9]{2}[A-Z][0-9]{2}")


class NationalId:
    """Finds identity numbers of several countries. Stateless."""

    name = "national_id"
    category = "pii.id_card"
    patterns = (_ANY,)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text, in order."""
        if not _DIGITS.search(text):
            return []
        return [Match(m.start(), m.end(), score) for m in _ANY.finditer(text) if (score := _score(text, m))]


def _score(text: str, match: re.Match[str]) -> float:
    sound = [form for form in _FORMS if form.pattern.fullmatch(match[0]) and form.sound(match[0])]
    if not sound:
        return 0.0
    if near(_CONTEXT, text, *match.span()):
        return max(form.labelled for form in sound)
    return 0.0 if names_reference(text, match.start()) else max(form.alone for form in sound)
