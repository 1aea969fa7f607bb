"""Long values in streams: what the whole text's screening hides leaves no stream in clear, whatever its length."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.classifier.classifier import Classifier
from guard.content import make_content
from guard.engine import Engine
from guard.policy.load import parse_policy
from guard.policy.store import PolicyStore
from guard.recognizers.checksums import luhn, mod97
from guard.recognizers.iban import _LENGTHS
from guard.stream import LONGEST_PLACE, screen_stream
from guard.types import Action, Content, Decision, Direction
from tests.recognizers.test_pages import _FOUND
from tests.streams import BORDERS, cut

_SIZES = {"narrow": "{lookahead: 2, context: 40, step: 8}", "usual": "{lookahead: 32, context: 64, step: 24}"}
_OWN = """\
recognizers:
  - {name: contract, patterns: ['CT(?:-[0-9]{2}){3,40}/[[:upper:]]{1,4}\\b'], score: 0.9}
  - {name: note, patterns: ['(?i)memo [a-z ]{4,}: [0-9]{4}'], score: 0.9}
"""
_RULES = """\
rules:
  - {id: pii, category: pii, threshold: 0.25, action: ACTION}
  - {id: secret, category: secret, threshold: 0.25, action: ACTION}
  - {id: url, category: url, threshold: 0.25, action: ACTION}
  - {id: own, category: custom, threshold: 0.25, action: ACTION}
  - {id: terms, terms: [the grey house behind the old mill of the long river, 阿尔法北方长河旁边的灰色房子],
     action: ACTION}
  - {id: cases, terms: [{pattern: 'case( [a-z]){2,30} closed'}], action: ACTION}
"""
_PLAIN = "Hello world, how is my linux process? "


def _policy(name: str, sizes: str, action: str) -> str:
    head = f"version: 1\nname: {name}\nmessage: {{en: policy words}}\nstreaming: {sizes}\n"
    return head + _OWN + _RULES.replace("ACTION", action)


@pytest.fixture(scope="module")
def engine(tiny_classifier: Classifier) -> Engine:
    """The tiny classifier under policies that hide, or block, everything that has a form."""
    texts = {name: _policy(name, sizes, "rewrite, rewrite: mask") for name, sizes in _SIZES.items()}
    texts["default"] = texts["usual"].replace("name: usual", "name: default")
    texts["blocking"] = _policy("blocking", _SIZES["narrow"], "block")
    return Engine(tiny_classifier, PolicyStore([parse_policy(text, f"{name}.yaml") for name, text in texts.items()]))


def _run(engine: Engine, policy: str, deltas: Iterable[str]) -> tuple[str, Decision]:
    opening = engine.open(Content("", Direction.OUTPUT, policy=policy))
    *pieces, decision = screen_stream(engine, opening, deltas)
    assert isinstance(decision, Decision)
    return "".join(piece for piece in pieces if isinstance(piece, str)), decision


def _random(seed: int, length: int, alphabet: str) -> str:
    """Characters that look random, the same for the same seed."""
    out = ""
    while len(out) < length:
        digest = hashlib.sha512(f"{seed}/{len(out)}".encode()).digest()
        out += "".join(alphabet[byte % len(alphabet)] for byte in digest)
    return out[:length]


_DIGITS = "0123456789"
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _CAPITALS + _CAPITALS.lower() + _DIGITS
_URL_SAFE = _LETTERS + "-_"
_BASE64 = _LETTERS + "+/"


def _encoded(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@st.composite
def _jwt(draw: st.DrawFn) -> str:
    seed = draw(st.integers(0, 99))
    header = _encoded({"alg": "HS256", "kid": _random(seed, draw(st.integers(0, 300)), _LETTERS)})
    payload = "eyJ" + _random(seed, draw(st.integers(4, 900)), _URL_SAFE)
    return f"{header}.{payload}.{_random(seed + 1, draw(st.integers(20, 400)), _URL_SAFE)}"


@st.composite
def _shaped(draw: st.DrawFn) -> str:
    seed, more = draw(st.integers(0, 99)), draw(st.integers(0, 250))
    kind = draw(st.integers(0, 14))
    return (
        lambda: "sk-proj-1" + _random(seed, 20 + more, _URL_SAFE) + "a",
        lambda: "ghp_" + _random(seed, 36, _LETTERS),
        lambda: "github_pat_" + _random(seed, 60 + more, _LETTERS + "_") + "a",
        lambda: "glpat-" + _random(seed, 20 + more, _URL_SAFE) + "a",
        lambda: "xoxb-" + _random(seed, 20 + more, _LETTERS + "-") + "a",
        lambda: "pypi-" + _random(seed, 60 + more, _URL_SAFE) + "a",
        lambda: "xai-" + _random(seed, 60 + more, _LETTERS),
        lambda: "SG." + _random(seed, 22, _LETTERS) + "." + _random(seed, 43, _LETTERS),
        lambda: "ya29." + _random(seed, 30 + more, _URL_SAFE) + "a",
        lambda: "AccountKey=" + _random(seed, 86, _BASE64) + "==",
        lambda: "aws_secret_access_key =        " + _random(seed, 40, _BASE64),
        lambda: "bce-v3/ALTAK-" + _random(seed, 20 + more, _LETTERS) + "/" + _random(seed, 40, "0123456789abcdef"),
        lambda: "AGE-SECRET-KEY-1" + _random(seed, 58, _CAPITALS + _DIGITS),
        lambda: "password is: " + _random(seed, 12 + more, _LETTERS + "!#$%*+/<=>?@^_|~-") + "aB1",
        lambda: "dop_v1_" + _random(seed, 64, "0123456789abcdef"),
    )[kind]()


@st.composite
def _key_block(draw: st.DrawFn) -> str:
    seed, size, width = draw(st.integers(0, 99)), draw(st.integers(40, 1500)), draw(st.sampled_from((24, 64, 76)))
    kind = draw(st.sampled_from(("PRIVATE KEY", "RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK")))
    end = draw(st.sampled_from(("\n", "\\n", "\r\n")))
    headers = draw(st.sampled_from(("", f"Version: a long name of a program{end}Comment: 1, 2 and 3{end}{end}")))
    key = _random(seed, size, _BASE64)
    lines = end.join(key[at : at + width] for at in range(0, size, width))
    return f"-----BEGIN {kind}-----{end}{headers}{lines}{end}-----END {kind}-----"


@st.composite
def _email(draw: st.DrawFn) -> str:
    seed = draw(st.integers(0, 99))
    local = re.sub(r"\.+", ".", _random(seed, draw(st.integers(1, 62)), _LETTERS + "..--__")).strip(".")
    labels = [_random(seed + n, draw(st.integers(1, 30)), _LETTERS) for n in range(draw(st.integers(1, 12)))]
    return f"a{local}@{'.'.join(labels)}.com"


@st.composite
def _iban(draw: st.DrawFn) -> str:
    seed, country = draw(st.integers(0, 99)), draw(st.sampled_from(sorted(_LENGTHS)))
    body = _random(seed, _LENGTHS[country] - 4, _DIGITS)
    number = next(n for check in range(2, 99) if mod97(n := f"{country}{check:02}{body}"))
    return draw(st.sampled_from((number, number.lower(), " ".join(re.findall(".{1,4}", number)))))


@st.composite
def _card(draw: st.DrawFn) -> str:
    body = "62" + _random(draw(st.integers(0, 99)), draw(st.integers(13, 16)), _DIGITS)
    number = next(body + digit for digit in _DIGITS if luhn(body + digit))
    return draw(st.sampled_from((f"card {number}", " ".join(re.findall(".{1,4}", number)))))


@st.composite
def _link(draw: st.DrawFn) -> str:
    seed, size = draw(st.integers(0, 99)), draw(st.integers(0, 600))
    host = "-".join(_random(seed, draw(st.integers(1, 12)), "abcdef"))
    begin = draw(st.sampled_from((f"https://me:{seed}@{host}.example.com/", f"www.{host}.de/", f"{host}.{host}.com/a")))
    return begin + _random(seed, size, _LETTERS + "/?&=.,;!()-_~%") + "z"


@st.composite
def _address(draw: st.DrawFn) -> str:
    name = draw(st.integers(1, 20))
    city = draw(st.sampled_from(("", "浙江省", "内蒙古自治区", "成都市锦江区")))
    house = draw(st.sampled_from(("123号5幢2单元301室", "一百二十三号小河边花园12号楼3单元4层502室", "8号院3号楼")))
    return f"收货地址：{city}{'春' * name}路{house}"


@st.composite
def _own(draw: st.DrawFn) -> str:
    numbers = "-".join(f"{n:02}" for n in range(draw(st.integers(3, 40))))
    words = " ".join("word" for _ in range(draw(st.integers(1, 60))))
    letters = " ".join("abcdefgh"[n % 8] for n in range(draw(st.integers(2, 30))))
    terms = ("The grey house  behind the old\nmill of the long river", "阿爾法北方長河旁邊的灰色房子")
    return draw(st.sampled_from((f"CT-{numbers}/ABC", f"Memo {words}: 1234", *terms, f"Case {letters} closed")))


_VALUES = {
    "jwt": _jwt(),
    "shapes": _shaped(),
    "private_key": _key_block(),
    "email": _email(),
    "iban": _iban(),
    "bank_card": _card(),
    "url": _link(),
    "address_cn": _address(),
    "own": _own(),
}
_AROUND = st.sampled_from(["", _PLAIN, "你好，我爱北京天安门。", "The linux process is this ", "token: ", "\n\n"])
_WIDE = st.sampled_from(["", "\u200b", "wide"])


def _disguised(value: str, how: str) -> str:
    if how == "wide":
        return "".join(chr(ord(char) + 0xFEE0) if char.isdigit() and char.isascii() else char for char in value)
    return value[:5] + how + value[5:]


def _holds(engine: Engine, policy: str, text: str, borders: list[int]) -> None:
    """What a stream releases has nothing of what the whole text's screening covers."""
    whole = engine.screen(make_content(text, "output", policy=policy))
    released, decision = _run(engine, policy, cut(text, borders))
    if whole.action is Action.BLOCK:
        shown = engine.screen(make_content(text, "output", policy="narrow")).output_text
        assert decision.action is Action.BLOCK and decision.message
    else:
        shown = whole.output_text
        if decision.action is not Action.BLOCK:
            assert len(released) == len(text)
    assert len(shown) == len(text)
    leaked = [at for at, char in enumerate(released) if char != "*" and shown[at] == "*"]
    assert not leaked, (text, released)


@pytest.mark.parametrize("kind", _VALUES)
@pytest.mark.parametrize("policy", ["narrow", "usual", "blocking"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), before=_AROUND, behind=_AROUND, how=_WIDE, borders=BORDERS)
def test_nothing_leaves_of_what_is_hidden_in_the_whole_text(
    engine: Engine, policy: str, kind: str, data: st.DataObject, before: str, behind: str, how: str, borders: list[int]
) -> None:
    """A value of any legal length, in any deltas, leaves no stream in part."""
    value = _disguised(data.draw(_VALUES[kind]), how)
    _holds(engine, policy, f"{before}{value} {behind}", borders)


@pytest.mark.parametrize(("name", "line"), _FOUND)
def test_nothing_leaves_of_what_a_page_shows(engine: Engine, name: str, line: str) -> None:
    """What a recognizer's page lists as found is held as long as it takes, by the smallest window, too."""
    text = re.sub(r"[\[\]]", "", line)
    for policy in ("narrow", "blocking"):
        _holds(engine, policy, f"{text}\n{_PLAIN * 2}", [*range(0, len(text), 3)])


def test_a_token_of_usual_length_is_hidden_in_a_stream(engine: Engine) -> None:
    """A signed token that is longer than a slice leaves masked as a whole, and what follows leaves as it was."""
    token = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded({'jti': 'a1' * 48})}.{_random(1, 43, _URL_SAFE)}"
    text = f"Here it is: {token} Use it with care. {_PLAIN * 3}"
    for size in (1, 4, len(text)):
        released, decision = _run(engine, "default", [text[at : at + size] for at in range(0, len(text), size)])
        assert released == text.replace(token, "*" * len(token))
        assert decision.action is Action.REWRITE
        assert [(found.category, found.span.end - found.span.start) for found in decision.detections] == [
            ("secret.jwt", len(token))
        ]
    released, decision = _run(engine, "blocking", text)
    assert (released.strip(), decision.action) == ("Here it is:", Action.BLOCK)


def test_what_only_looks_like_a_beginning_leaves(engine: Engine) -> None:
    """What is held leaves as it was as soon as it can become nothing any more."""
    header = _encoded({"alg": "HS256", "typ": "JWT"})
    for text in (
        f"A token begins with {header} as a rule. {_PLAIN}",
        f"{header}.{'eyJ' + 'a-' * 300} without a signature. {_PLAIN}",
        f"A PEM file begins with -----BEGIN PRIVATE KEY----- and goes on with lines and lines. {_PLAIN}",
        f"The {'a.' * 400} is no address. {_PLAIN}",
    ):
        released, decision = _run(engine, "default", text)
        assert (released, decision.action) == (text, Action.ALLOW)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (f"{_encoded({'alg': 'HS256'})}.eyJ" + "a-" * 2 * LONGEST_PLACE, "secret"),
        ("-----BEGIN PRIVATE KEY-----\n" + (_random(1, 30, _LETTERS) + "/") * LONGEST_PLACE, "secret"),
        ("https://example.com/" + "a/" * LONGEST_PLACE, "url"),
        ("-----BEGIN PRIVATE KEY----- and " + "so on " * LONGEST_PLACE, "secret"),
    ],
)
def test_a_place_without_an_end_blocks(engine: Engine, value: str, rule: str) -> None:
    """No more than so much is held for it, and none of it leaves; the decision says which rule it would have been."""
    taken = []

    def deltas() -> Iterable[str]:
        for at in range(0, len(value), 50):
            taken.append(at)
            yield value[at : at + 50]

    released, decision = _run(engine, "default", [_PLAIN, *deltas()])
    assert (released, decision.action, decision.output_text) == (_PLAIN, Action.BLOCK, "policy words")
    assert [fired.id for fired in decision.rules] == [rule]


def test_what_an_own_pattern_may_have_begun_is_not_held_for_ever(engine: Engine) -> None:
    """A pattern that any text may continue holds it back for so long, and then it goes on."""
    text = f"Memo {'hello ' * 2 * LONGEST_PLACE}"
    opening = engine.open(Content("", Direction.OUTPUT))
    left = 0
    for done, piece in enumerate(screen_stream(engine, opening, [text[:-600], text[-600:]])):
        assert isinstance(piece, (str, Decision))
        if isinstance(piece, str):
            left += len(piece)
        else:
            assert piece.action is Action.ALLOW and done > 1
    assert left == len(text)


def test_what_no_rule_hides_holds_nothing_back(tiny_classifier: Classifier) -> None:
    """A long link leaves as it comes where no rule acts on links."""
    text = "version: 1\nname: default\nrules: [{id: pii, category: pii, threshold: 0.5, action: block, shadow: true}]\n"
    engine = Engine(tiny_classifier, PolicyStore([parse_policy(text, "default.yaml")]))
    host = "a-" * 400
    pieces = list(screen_stream(engine, engine.open(Content("", Direction.OUTPUT)), [f"www.{host}", " so it is"]))
    assert len(pieces) > 10 and "".join(str(piece) for piece in pieces[:-1]) == f"www.{host} so it is"


def test_a_long_place_is_not_screened_at_every_step(tiny_classifier: Classifier) -> None:
    """The work for what is held grows with its length and not with its square."""
    rule = "{id: secret, category: secret, threshold: 0.5, action: rewrite, rewrite: mask}"
    policy = parse_policy(f"version: 1\nname: default\nrules: [{rule}]\n", "default.yaml")
    engine = Engine(tiny_classifier, PolicyStore([policy]))
    chunks = []
    for length in (500, 1000, 2000):
        value = "sk-1" + "-".join(_random(1, length, _LETTERS))
        _, decision = _run(engine, "default", [f"Take {value} or not."])
        assert decision.action is Action.REWRITE
        chunks.append(decision.chunks)
    assert chunks[2] < 3 * chunks[1] < 9 * chunks[0]
