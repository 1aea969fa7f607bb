"""Made-up personal data in sentences, and what looks like it and is none.

Every value is invented from a seed; check digits are right where a kind has them. A near miss has the form of its kind
and not its substance: a wrong check digit, a range that nobody has, or a sentence that says what else it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from guard.recognizers.checksums import luhn, mod11_2, mod97, verhoeff

Invent: TypeAlias = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Row:
    """One text; the value stands at [start, end), of a near miss nothing does."""

    category: str
    text: str
    start: int = 0
    end: int = 0


def digits(draw: random.Random, count: int) -> str:
    """So many random digits."""
    return "".join(str(draw.randrange(10)) for _ in range(count))


def _checked(body: str, sound: Callable[[str], bool], characters: str = "0123456789X") -> str:
    """The body with the check character that makes it sound; one exists but for rare bodies, which get none."""
    return next((body + char for char in characters if sound(body + char)), body + characters[0])


def _broken(body: str, sound: Callable[[str], bool]) -> str:
    return next(body + char for char in "0123456789" if not sound(body + char))


def _grouped(text: str, *sizes: int, gap: str = " ") -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return gap.join(part for part in (*parts, text[at:]) if part)


def mobile(draw: random.Random) -> str:
    """A Chinese mobile number as people write it."""
    number = f"{draw.choice(('138', '139', '158', '177', '186', '199'))}{digits(draw, 8)}"
    gap = draw.choice((" ", "-"))
    return draw.choice(
        (number, _grouped(number, 3, 4, gap=gap), f"+86 {number}", f"+86{gap}{_grouped(number, 3, 4, gap=gap)}")
    )


def abroad(draw: random.Random) -> str:
    """A number of another country, with its code."""
    return draw.choice(
        (
            f"+1 (415) 555-{draw.randrange(1000, 9999)}",
            f"+1 212-{draw.randrange(200, 999)}-{draw.randrange(1000, 9999)}",
            f"+44 20 79{draw.randrange(10, 99)} {draw.randrange(1000, 9999)}",
            f"+49 30 90{digits(draw, 4)}",
            f"+852 {draw.randrange(5100, 5999)} {digits(draw, 4)}",
            f"+65 9{digits(draw, 3)} {digits(draw, 4)}",
        )
    )


def landline(draw: random.Random) -> str:
    """A Chinese landline with its area code."""
    return draw.choice(
        (f"010-6{digits(draw, 7)}", f"(021) 5{digits(draw, 3)} {digits(draw, 4)}", f"0755-8{digits(draw, 7)}")
    )


def email(draw: random.Random) -> str:
    """An address of a reserved domain."""
    name = draw.choice(("anna.meyer", "li_qing", "wangxm", "j.q.public", "o'neil", "sales+de", "zhang-san"))
    domain = draw.choice(("example.com", "mail.example.org", "example.com.cn"))
    return f"{name}{draw.choice(('', digits(draw, 2)))}@{domain}"


def resident(draw: random.Random) -> str:
    """A Chinese resident identity number."""
    born = f"{draw.randrange(1950, 2012)}{draw.randrange(1, 13):02}{draw.randrange(1, 29):02}"
    return _checked(f"{draw.choice(('110105', '330106', '440305', '510107'))}{born}{digits(draw, 3)}", mod11_2)


def american(draw: random.Random) -> str:
    """A Social Security number."""
    return f"{draw.randrange(100, 650)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}"


def aadhaar(draw: random.Random) -> str:
    """An Indian number."""
    return _grouped(_checked(f"{draw.randrange(2, 9)}{digits(draw, 10)}", verhoeff), 4, 4)


def card(draw: random.Random) -> str:
    """A bank card number."""
    body, groups = draw.choice(
        (
            ("4" + digits(draw, 14), (4, 4, 4)),
            ("52" + digits(draw, 13), (4, 4, 4)),
            ("37" + digits(draw, 12), (4, 6)),
            ("622202" + digits(draw, 12), (4, 4, 4, 4)),
            ("6214" + digits(draw, 11), (4, 4, 4)),
        )
    )
    number = _checked(body, luhn)
    return draw.choice((number, _grouped(number, *groups)))


def iban(draw: random.Random) -> str:
    """A bank account number."""
    country, rest = draw.choice(
        (
            ("DE", digits(draw, 18)),
            ("GB", "NWBK" + digits(draw, 14)),
            ("FR", digits(draw, 23)),
            ("NL", "ABNA" + digits(draw, 10)),
        )
    )
    number = next(f"{country}{check:02}{rest}" for check in range(2, 99) if mod97(f"{country}{check:02}{rest}"))
    return draw.choice((number, _grouped(number, *[4] * 6)))


def address(draw: random.Random) -> str:
    """An IP address that is routed."""
    four = f"{draw.choice((23, 59, 93, 123, 185))}.{draw.randrange(200)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
    return draw.choice(
        (four, four, f"2606:2800:220:1:{draw.randrange(4096, 65536):x}:{draw.randrange(4096, 65536):x}:25c8:1946")
    )


def home(draw: random.Random) -> str:
    """A Chinese postal address of a flat."""
    city = draw.choice(("北京市朝阳区", "浙江省杭州市西湖区", "上海市徐汇区", "广东省深圳市南山区", "成都市锦江区", ""))
    street = draw.choice(("建国路", "文三路", "中山北街", "学院路", "人民大道"))
    number, block, room = draw.randrange(1, 999), draw.randrange(1, 30), draw.randrange(101, 2405)
    return draw.choice(
        (
            f"{city}{street}{number}号{block}号楼{room}室",
            f"{city}{street}{number}弄{block}号{room}室",
            f"{city}{draw.choice(('幸福', '阳光', '翠苑'))}小区{block}栋{draw.randrange(1, 5)}单元{room}室",
        )
    )


def plate(draw: random.Random) -> str:
    """A Chinese licence plate."""
    head = draw.choice("京沪粤浙苏川鲁") + draw.choice("ABCDEFGH")
    return (
        head
        + draw.choice(("", "·"))
        + draw.choice((digits(draw, 5), f"{digits(draw, 2)}K{digits(draw, 2)}", f"D{digits(draw, 5)}"))
    )


def passport(draw: random.Random) -> str:
    """A passport number."""
    return draw.choice((f"E{digits(draw, 8)}", f"EA{digits(draw, 7)}", f"G{digits(draw, 8)}", f"K{digits(draw, 7)}"))


_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _random(draw: random.Random, count: int, alphabet: str = _ALPHABET) -> str:
    return "".join(draw.choice(alphabet) for _ in range(count))


def private_key(draw: random.Random) -> str:
    """A private key block."""
    kind = draw.choice(("", "RSA ", "EC ", "OPENSSH "))
    lines = "\n".join(_random(draw, 64, _ALPHABET + "+/") for _ in range(6))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def token(draw: random.Random) -> str:
    """A signed JSON Web Token."""
    head = draw.choice(("eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"))
    return f"{head}.eyJzdWIiOiI0MiJ9.{_random(draw, 43, _ALPHABET + '_-')}"


def cloud_key(draw: random.Random) -> str:
    """A cloud provider's key."""
    upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return draw.choice(
        ("AK" + "IA" + _random(draw, 16, upper), "AI" + "za" + _random(draw, 35), "LT" + "AI" + _random(draw, 20))
    )


def api_key(draw: random.Random) -> str:
    """A service's key."""
    return draw.choice(
        (
            "gh" + "p_" + _random(draw, 36),
            "sk-" + "proj-" + _random(draw, 40),
            "sk-" + _random(draw, 32, "0123456789abcdef"),
            "gl" + "pat-" + _random(draw, 20),
            "sk_" + "live_" + _random(draw, 24),
        )
    )


def link(draw: random.Random) -> str:
    """A web address."""
    path = f"{draw.choice(('a', 'wiki', 'p/1'))}?id={digits(draw, 3)}"
    return draw.choice(
        (f"https://example.com/{path}", f"http://www.example.org/{path}", "www.example.net", f"t.cn/{_random(draw, 6)}")
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured of one category.

    Attributes:
        invent: Makers of values; each is as likely as the others.
        templates: Sentences with ``{}`` for the value, in both languages.
        misses: Makers of whole texts without a value.
    """

    invent: Sequence[Invent]
    templates: Sequence[str]
    misses: Sequence[Invent]


def _say(*templates: str, value: Invent) -> Invent:
    return lambda draw: draw.choice(templates).format(value(draw))


_PLAIN = ("资料里写的是{}。", "On file: {}.", "{}")

KINDS: Mapping[str, Kind] = {
    "pii.email": Kind(
        (email,),
        ("请发邮件到{}，谢谢。", "邮箱：{}", "Write to {}.", "<{}> asked about it", *_PLAIN),
        (
            _say(
                "npm install pkg@{}", "见 icon@2x.png 第{}版", value=lambda d: f"{d.randrange(20)}.{d.randrange(9)}.1"
            ),
            _say(
                "git clone git@example.com:team/p{}.git",
                "关注 @user{} 的微博",
                "{} apples @ 2.50",
                value=lambda d: digits(d, 3),
            ),
        ),
    ),
    "pii.phone": Kind(
        (mobile, abroad, landline),
        ("我的电话是{}，请联系。", "手机：{}", "Call me at {} tonight.", "Phone: {}", "到了打{}找我", *_PLAIN),
        (
            _say(
                "订单号：{}", "快递单号 SF{}", "Order #{}", "转账 {} 元", "uid={}", value=lambda d: "138" + digits(d, 8)
            ),
            _say("时间戳 {}", "ts: {}000", "build {}", value=lambda d: "17" + digits(d, 8)),
            _say("热线 400-{}", "call 800-{} for free", value=lambda d: f"820-{digits(d, 4)}"),
            _say("售价 ¥{}", "坐标 {}", "pi is 3.{}", value=lambda d: digits(d, 11)),
            _say("ISBN 978-7-{}-2", "版本 10.0.{}.1", value=lambda d: f"302-{digits(d, 5)}"),
        ),
    ),
    "pii.id_card": Kind(
        (resident, resident, american, aadhaar),
        ("身份证号{}，请核对。", "证件号码：{}", "ID card {} on file", "SSN or Aadhaar: {}", "我的身份证是{}"),
        (
            _say("身份证号{}", "ID {}", value=lambda d: _broken("11010519" + digits(d, 9).replace("9", "1"), mod11_2)),
            _say(
                "SSN {}",
                "社保号 {}",
                value=lambda d: f"{d.choice(('000', '666', '912'))}-{digits(d, 2)}-{digits(d, 4)}",
            ),
            _say("Aadhaar {}", value=lambda d: _grouped(_broken("2341" + digits(d, 7), verhoeff), 4, 4)),
            _say("订单 {}", "流水号{}", value=lambda d: digits(d, 20)),
            _say("part no. {}", "order {}", value=american),
        ),
    ),
    "pii.bank_card": Kind(
        (card,),
        ("请打到{}这张卡。", "银行卡号：{}", "My card is {}.", "credit card {}", *_PLAIN),
        (
            _say("卡号 {}", "card {}", "{}", value=lambda d: _broken("4" + digits(d, 14), luhn)),
            _say("订单号：{}", "serial no. {}", "tracking {}", value=card),
            _say("IMEI {}", "{}", value=lambda d: _checked("1234" + digits(d, 11), luhn)),
            _say("时间 {}", "seq {}", value=lambda d: "2023110512" + digits(d, 7)),
        ),
    ),
    "pii.iban": Kind(
        (iban,),
        ("收款账户{}，请转账。", "IBAN：{}", "Pay to {} please.", *_PLAIN),
        (
            _say("IBAN {}", "账户 {}", value=lambda d: f"DE{d.randrange(2, 98):02}0{digits(d, 16)}"),
            _say(
                "ticket {}", "型号 {}", value=lambda d: f"AB{digits(d, 2)} {digits(d, 4)} {digits(d, 4)} {digits(d, 4)}"
            ),
        ),
    ),
    "pii.ip": Kind(
        (address,),
        ("登录 IP 是{}。", "客户端地址：{}", "The request came from {}.", "ssh root@{}", "host {} is down"),
        (
            _say(
                "IP 192.168.{}",
                "server 10.0.{}",
                "mask 255.255.{}",
                value=lambda d: f"{d.randrange(256)}.{d.randrange(256)}",
            ),
            _say(
                "版本 {}",
                "version {}",
                "v{}",
                value=lambda d: f"{d.randrange(1, 9)}.{d.randrange(20)}.{d.randrange(256)}.1",
            ),
            _say(
                "see section {}",
                "第 {} 节",
                value=lambda d: f"{d.randrange(1, 9)}.{d.randrange(1, 9)}.{d.randrange(1, 9)}.1",
            ),
            _say("MAC {}", value=lambda d: ":".join(f"{d.randrange(256):02X}" for _ in range(6))),
            _say("at {} sharp", "比分 {}", value=lambda d: f"12:{d.randrange(60):02}:{d.randrange(60):02}"),
            lambda d: "ping 8.8.8.8 or std::vector",
        ),
    ),
    "pii.address_cn": Kind(
        (home,),
        (
            "我家住在{}，欢迎来。",
            "收货地址：{}",
            "请寄到{}，谢谢。",
            "Shipping address: {}",
            "他现住{}。",
            "人在{}等你",
        ),
        (
            _say(
                "地铁{}号线在二层换乘",
                "请看第{}条第2款第3号",
                "走了两条路，一共{}公里",
                value=lambda d: str(d.randrange(1, 20)),
            ),
            _say(
                "博物馆位于北京市东城区东长安街{}号。", "书店在人民路{}号。", value=lambda d: str(d.randrange(1, 200))
            ),
            _say("我在{}号楼开会", "{}号选手先走", "12月{}号见", value=lambda d: str(d.randrange(1, 29))),
        ),
    ),
    "pii.plate_cn": Kind(
        (plate,),
        ("车牌号{}，停在门口。", "车牌：{}", "The car {} blocks the gate.", *_PLAIN),
        (
            _say("京{}", "粤B2B{}", "沪A股{}", "川菜馆 A{}", value=lambda d: digits(d, 5)),
            _say("京I{}", "浙A{}12", "苏E{}", value=lambda d: digits(d, 7)),
        ),
    ),
    "pii.passport": Kind(
        (passport,),
        ("护照号码{}，请核对。", "护照：{}", "Passport number: {}", "my passport is {}"),
        (
            _say("型号 {}", "订单 {}", "part {}", "SKU {}", value=passport),
            _say("护照办理需要{}个工作日", "passport photo {}x45", value=lambda d: str(d.randrange(10, 60))),
        ),
    ),
    "secret.private_key": Kind(
        (private_key,),
        ("私钥如下：\n{}\n请保管", "{}", "key:\n{}\n"),
        (
            lambda d: "A file begins with -----BEGIN PRIVATE KEY----- and ends likewise.",
            _say("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", value=lambda d: _random(d, 64)),
        ),
    ),
    "secret.jwt": Kind(
        (token,),
        ("令牌是{}，请保密", "Authorization: Bearer {}", "?jwt={}&page=2"),
        (
            _say("eyJhbGciOiJIUzI1NiJ9.{}", "data:image/png;base64,{}", value=lambda d: _random(d, 60)),
            _say("com.example.{}.Main", value=lambda d: _random(d, 12, "abcdefgh")),
        ),
    ),
    "secret.cloud_key": Kind(
        (cloud_key,),
        ("密钥：{}", "access key {}", "?key={}&q=1"),
        (
            lambda d: "AK" + "IAIOSFODNN7EXAMPLE",
            _say("sha1 {}", "md5 {}", value=lambda d: _random(d, 40, "0123456789abcdef")),
            _say("AIza{}", "LTAI{}", value=lambda d: "X" * 35),
        ),
    ),
    "secret.api_key": Kind(
        (api_key,),
        ("密钥：{}", "API_KEY={}", "token {}", "export KEY={}\n"),
        (
            _say(
                "api_key = {}",
                "password: {}",
                "密钥：{}",
                value=lambda d: d.choice(("YOUR_API_KEY_HERE", "${ENV_KEY_1}", "xxxxxxxxxxxxxxxx")),
            ),
            _say(
                "token: {}", "id {}", value=lambda d: _grouped(_random(d, 32, "0123456789abcdef"), 8, 4, 4, 4, gap="-")
            ),
            _say("git commit {}", "sha256:{}", value=lambda d: _random(d, 40, "0123456789abcdef")),
            lambda d: "sk-toggleable__label-arrow and task-runner-with-a-long-name",
        ),
    ),
    "url": Kind(
        (link,),
        ("请看{}，谢谢", "see {} for more", "点击{}领取"),
        (
            _say("3.14/{}", "main.py/x{}", "example.com 第{}页", value=lambda d: digits(d, 2)),
            lambda d: "and/or, http:// alone, example.com",
        ),
    ),
}


def _wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "0" <= char <= "9" else char for char in text)


def positives(category: str, count: int) -> list[Row]:
    """Texts with one value of a category each; one in ten has full-width digits."""
    draw = random.Random(f"{category} values 20261122")
    rows = []
    for _ in range(count):
        kind = KINDS[category]
        value, template = draw.choice(kind.invent)(draw), draw.choice(kind.templates)
        if category.startswith("pii.") and draw.randrange(10) == 0:
            value = _wide(value)
        start = template.index("{}")
        rows.append(Row(category, template.replace("{}", value), start, start + len(value)))
    return rows


def near_misses(category: str, count: int) -> list[Row]:
    """Texts that have the look of a category and no value of it."""
    draw = random.Random(f"{category} misses 20261122")
    return [Row(category, draw.choice(KINDS[category].misses)(draw)) for _ in range(count)]
