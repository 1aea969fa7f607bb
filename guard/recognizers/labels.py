"""The words around a number that say what it is: a phone, a card, or the number of an order.

Digits alone are ambiguous (an order number of eleven digits looks like a mobile number), the words in front
of them seldom are. A label touches its number, but for a colon, "is", "号码" and the like; a context word stands
somewhere near by. Both read at most a short stretch of text, in lower case.
"""

from __future__ import annotations

import re

# Code points in front of a number that are read for a label, and those around it for context.
_REACH = 24
_BEFORE = 32
_BEHIND = 16

# Between a label and its number: a colon, "is", "号码", spaces and the like, never another noun.
# (No alternative is a sequence of others, so there is one way only to match a stretch.)
_LINK = r"(?:\s|[:=#.,?'\"(\[|-]|号|码|为|是|no|number|num|id|is|was|the|my|your|our|his|her)*$"

_REFERENCE = re.compile(
    r"(?:订单|单号|单据|编号|流水|序列|工单|运单|快递|物流|货号|型号|版本|批号|合同|发票|案件|文号|专利|学号|工号|卡密|时间戳"
    r"|余额|金额|总计|坐标|经度|纬度|(?<![a-z])(?:order|invoice|ticket|tracking|parcel|shipment|serial|sku|isbn|part|case|build|version"
    r"|timestamp|ts|unix|transaction|receipt|reference|ref|uid|uuid|qq|seq|hash|batch|amount|total|price|population|id))"
    + _LINK
)
_PHONE = re.compile(
    r"(?:电话|手机|联系|热线|座机|拨打|致电|微信|来电|短信|号码"
    r"|(?<![a-z])(?:tel|telephone|phone|mobile|mob|cell|cellphone|call|dial|fax|text|sms|whatsapp|wechat|contact"
    r"|ph|t|m|vx|wx))"
    r"(?:\s|[:=.,'\"(\[|+-]|号|码|方式|人|我|为|是|加|at|on|no|number|me|us|him|her|is|was|the|my|your|our|his)*$"
)
_PHONE_ALONE = re.compile(
    r"(?:电话|手机|座机|传真|拨打|致电|打给|(?<![a-z])(?:tel|telephone|phone|mobile|cell|cellphone|fax|whatsapp"
    r"|(?:call|text|reach)(?: me| us| him| her| them)? (?:at|on)|answering at|messages? to))"
    r"(?:\s|[:=.'\"(\[|]|号|码|是|为|no|number|is)*$"
)
_CARD = re.compile(
    r"(?:银行卡|卡号|信用卡|借记卡|储蓄卡|账号|帐号|账户|打款|汇款|转账"
    r"|(?<![a-z])(?:card|cc|credit|debit|visa|mastercard|amex|unionpay|pan|account))" + _LINK
)


def names_reference(text: str, start: int) -> bool:
    """True if the words before ``start`` call what follows an order, a ticket, a version, an amount ..."""
    return _REFERENCE.search(_before(text, start)) is not None


def names_phone(text: str, start: int) -> bool:
    """True if the words before ``start`` call what follows a phone number."""
    return _PHONE.search(_before(text, start)) is not None


def says_phone(text: str, start: int) -> bool:
    """True if nothing but a phone number, of whatever country, can be meant by the words before ``start``."""
    return _PHONE_ALONE.search(_before(text, start)) is not None


def names_card(text: str, start: int) -> bool:
    """True if the words before ``start`` call what follows a bank card or an account."""
    return _CARD.search(_before(text, start)) is not None


def context(chinese: str, latin: str) -> re.Pattern[str]:
    """What :func:`near` looks for.

    Args:
        chinese: Words as alternatives of a pattern, found anywhere.
        latin: The same in Latin script and lower case; found at the beginning of a word, in any case.
    """
    return re.compile(rf"{chinese}|(?<![a-z])(?:{latin})")


def near(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """True if one of the words stands shortly before [start, end) or right behind it."""
    return words.search(surroundings(text, start, end)) is not None


def surroundings(text: str, start: int, end: int) -> str:
    """What is read for context, in lower case: shortly before [start, end) and right behind it, a border between."""
    return f"{text[max(0, start - _BEFORE) : start]}\n{text[end : end + _BEHIND]}".lower()


def word_before(text: str, start: int) -> str:
    """The ASCII letters that touch ``start`` from the left, in lower case; empty if there are none."""
    begin = start
    while begin > 0 and start - begin < _REACH and text[begin - 1].isascii() and text[begin - 1].isalpha():
        begin -= 1
    return text[begin:start].lower()


def _before(text: str, start: int) -> str:
    return text[max(0, start - _REACH) : start].lower()
