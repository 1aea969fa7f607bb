"""Telephone numbers of people: Chinese mobile and landline numbers, international and North American forms.

Every candidate is checked against the numbering plans of libphonenumber. Digits alone are taken for a number
only in the form of a Chinese mobile number; every other form needs its ``+``, ``0`` and area code with a
separator, brackets, or a word in front of it that says "phone". Behind such a word any digits of a number's length are
found, too, with a lower score: other countries' own forms are not checked. Service numbers (400, 800, premium rate) are
no personal data and are not found, so a help line may be named.

Found:
    - 手机[13812345678]请联系
    - 电话：[138-1234-5678]
    - 打[+86 138 1234 5678]找我，100 元
    - 联系人李四 [8613812345678]
    - 座机[010-62781234]转 8001
    - 办公室 [(021) 5888 1234]
    - 电话[02062781234]
    - call me at [(415) 555-2671] tonight
    - Call [+44 20 7946 0958], not before 9
    - tel[13812345678]
    - 联系wang.wu@example.com[13812345678]
    - 0044 is for Britain: [0044 20 7946 0958]
    - my number is [415-555-2671].
    - phone [415 555 2671]
    - Tel. : [+ 44-20-7946-0958]
    - Mobile: [03.93.92.16.85]
    - Phone number: [032 288 79 44]
    - 电话：[6278 1234]
    - Fax: [9498777106]
    - They can call us on [01.84.17.61.18].

Not found:
    - 订单号 13812345678 已发货
    - 订单号：20231105123456
    - order #13812345678
    - Order ID: 415-555-2671
    - 时间戳 1700000000 和 1700000000000
    - 2023-11-05 12:30:45
    - 版本 10.0.19041.1237
    - IP 192.168.100.200
    - 转账 13812345678 元
    - 0.13812345678
    - 热线 400-820-8820 或 1-800-275-2273
    - 报警请打 110
    - 快递 SF13812345678
    - a3f13812345678bc
    - 圆周率 3.14159265358979
    - ISBN 978-7-302-51234-5
    - 200 300 4000
    - Phone: 2023-11-05 12:30
    - 手机 1299 元
    - phone 13.5.2.1000
    - 客服电话 400 820 8820
    - fax 0800 123 4567
    - 12345678901
"""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from phonenumbers import PhoneNumberType

from guard.recognizers.labels import names_phone, names_reference, says_phone, word_before
from guard.recognizers.match import Match

_LABELLED = 0.95
_INTERNATIONAL = 0.95
_SEPARATED = 0.85
_BARE = 0.8
_UNKNOWN_PLAN = 0.7

# Most texts have no such run, and then nothing else is looked at.
_SEVEN_DIGITS = re.compile(r"[0-9](?:[ ().\-\u2010\u2013]{0,3}[0-9]){6}")

_S = r"[ .\-\u2010\u2013]"
_LEFT = r"(?<![0-9+_])(?<![0-9][.\-])"
_RIGHT = r"(?![0-9A-Za-z_]|\.[0-9])"

_PLUS = re.compile(rf"{_LEFT}(?:\+ ?|00)[0-9](?:[ .()\-\u2010\u2013]{{0,2}}[0-9]){{6,14}}")
_MOBILE = re.compile(rf"{_LEFT}(?:\(?(?:86|0086)\)?{_S}?)?1[3-9][0-9]{_S}?[0-9]{{4}}{_S}?[0-9]{{4}}{_RIGHT}")
_LANDLINE = re.compile(rf"{_LEFT}(\(0[0-9]{{2,3}}\) ?|0[0-9]{{2,3}}{_S}?)[2-9][0-9]{{2,3}}{_S}?[0-9]{{4}}{_RIGHT}")
_AMERICAN = re.compile(
    rf"{_LEFT}(?:1{_S})?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}({_S}))[2-9][0-9]{{2}}({_S})[0-9]{{4}}{_RIGHT}"
)

# Any country's number, behind a word that says so; no date, no amount and no service's.
_GROUPED = re.compile(
    rf"{_LEFT}(?!(?:19|20)[0-9]{{2}}[./-][0-9]{{1,2}}[./-])(?!0?[48]00)"
    r"(?:\([0-9]{1,5}\)[ -]?|[0-9]{1,5}[ .\-\u2010\u2013])?[0-9]{2,10}(?:[ .\-\u2010\u2013][0-9]{2,5}){0,4}" + _RIGHT
)

# Without one of them nothing is called a number.
_WORDS = (
    *("电话", "手机", "座机", "传真", "拨打", "致电", "打给"),
    *("tel", "phone", "mobile", "cell", "fax", "whatsapp", "call", "text", "reach", "answering", "message"),
)

# Amounts: a currency sign before, or a unit behind.
_MONEY = frozenset("$¥€£₩")
_UNIT = re.compile(r" ?(?:元|块|美元|欧元|人民币|万|亿|吨|公里|字节|次|%|dollars|yuan|bytes|USD|RMB|CNY)")

# The end of an e-mail address, the one word that a number is written right behind without being a part of it.
_ADDRESS_REACH = 280
_ADDRESS_END = re.compile(r"@[A-Za-z0-9.-]{1,253}\.[A-Za-z]{2,24}$")

# Types that belong to organisations that want to be called.
_SERVICES = frozenset(
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


class Phone:
    """Finds telephone numbers. Stateless."""

    name = "phone"
    category = "pii.phone"
    patterns = (_PLUS, _MOBILE, _LANDLINE, _AMERICAN, _GROUPED)

    def find(self, text: str) -> list[Match]:
        """Every number in a normalised text; the same digits may be matched by more than one form."""
        if not _SEVEN_DIGITS.search(text):
            return []
        found = [match for m in _PLUS.finditer(text) if (match := _international(text, m))]
        for pattern, region in ((_MOBILE, "CN"), (_LANDLINE, "CN"), (_AMERICAN, "US")):
            for m in pattern.finditer(text):
                score = _score(text, m, region)
                if score:
                    found.append(Match(m.start(), m.end(), score))
        folded = text.lower()
        if any(word in folded for word in _WORDS):
            found += [Match(m.start(), m.end(), _UNKNOWN_PLAN) for m in _GROUPED.finditer(text) if _said(text, m)]
        return found


def _said(text: str, match: re.Match[str]) -> bool:
    """True for as many digits as a number has, with one kind of separator, where the text says that it is one."""
    digits = sum(map(str.isdigit, match[0]))
    kinds = {char for char in match[0] if char in " .-"}
    grouped = 7 <= digits <= 12 and len(kinds) <= 1 + ("(" in match[0]) and not _UNIT.match(text, match.end())
    return grouped and says_phone(text, match.start())


def _international(text: str, match: re.Match[str]) -> Match | None:
    """A number with its country's code; digits that follow it as a group of their own are left off."""
    candidate = match[0]
    while sum(map(str.isdigit, candidate)) >= 8:
        end = match.start() + len(candidate)
        whole = end == len(text) or not (text[end].isascii() and text[end].isalnum())
        number = "+" + candidate.removeprefix("+").lstrip().removeprefix("00")
        if whole and _assigned(number, None):
            return Match(match.start(), end, _INTERNATIONAL)
        shorter = re.sub(r"[^0-9]*[0-9]+$", "", candidate)
        if shorter == candidate:
            return None
        candidate = shorter
    return None


def _score(text: str, match: re.Match[str], region: str) -> float:
    """How sure the digits of a national form are a telephone number; 0.0 if they are not."""
    labelled = names_phone(text, match.start())
    if not labelled and _named_otherwise(text, match):
        return 0.0
    bare = match[0].isdigit()
    if not labelled:
        mobile = match.re is _MOBILE
        spaced = match.re is _AMERICAN and match[1] == " "
        if (bare and not mobile) or spaced:
            return 0.0
    number = re.sub(r"[^0-9]", "", match[0])
    if match.re is _MOBILE:
        sound = _chinese()[0].fullmatch(number[-11:]) is not None
    elif match.re is _LANDLINE:
        sound = _chinese()[1].fullmatch(number[1:]) is not None
    else:
        sound = _assigned(number, region)
    if not sound:
        return 0.0
    return _LABELLED if labelled else _BARE if bare else _SEPARATED


def _named_otherwise(text: str, match: re.Match[str]) -> bool:
    """True if what stands around the digits says that they are an order number, a code or an amount."""
    before = text[match.start() - 1] if match.start() else ""
    reach = text[max(0, match.start() - _ADDRESS_REACH) : match.start()]
    glued = word_before(text, match.start()) and not _ADDRESS_END.search(reach)
    if before in _MONEY or glued:
        return True
    return bool(_UNIT.match(text, match.end())) or names_reference(text, match.start())


@cache
def _chinese() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The plan's mobile and landline numbers: the most frequent here, and asked for themselves much quicker."""
    plan = phonenumbers.PhoneMetadata.metadata_for_region("CN")
    assert plan is not None and plan.mobile is not None and plan.fixed_line is not None
    return re.compile(str(plan.mobile.national_number_pattern)), re.compile(
        str(plan.fixed_line.national_number_pattern)
    )


def _assigned(number: str, region: str | None) -> bool:
    """True if a numbering plan has the number and it is not a service's."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) not in _SERVICES
