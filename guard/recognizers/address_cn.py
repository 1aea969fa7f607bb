"""Chinese postal addresses: a street, village or compound with its number, and what stands around it.

A pattern without a checksum, so the scores are low. A street with its number alone (0.3), or in its district (0.4),
may be any shop's or museum's; it becomes somebody's home by a block, unit or room (0.6), or by words such as 住址,
家住 or 收货 (0.65, together 0.75). The span begins at the province, city or district.

Found:
    - 我家住在[浙江省杭州市西湖区文三路123号5幢2单元301室]，欢迎来玩
    - 收货地址：[北京市朝阳区建国路88号院3号楼1202室]
    - 请寄到[上海市徐汇区漕溪北路18弄7号602室]
    - 现住[广东省深圳市南山区科技园南路16号]
    - 户籍在[湖南省长沙县春华镇大鱼塘村12组8号]
    - 家庭住址是[成都市锦江区春熙路三段9号]
    - 上海博物馆位于[上海市黄浦区人民大道201号]
    - 户籍：[沈阳市于洪区黄海路12号2-3-1]
    - 送餐地址是[新民路三号阳光小区二单元六零二室]
    - 门牌：[幸福小区12栋3单元402]，电话稍后给您
    - 他在[幸福小区3栋2单元501室]等你

Not found:
    - 故宫在北京的中心
    - 我在3号楼开会
    - 请看第5条第2款第3号
    - 地铁10号线换乘2号线
    - 12月31号见
    - 走了两条路，一共5公里
    - 他排在16号
    - 房间在501室
    - 世界上的路有很多条，1号选手先走
    - 全球87个国家和地区136座城市
    - 道路千万条，安全第一条
"""

from __future__ import annotations

import re

from guard.recognizers.labels import context, near
from guard.recognizers.match import Match

_STREET, _IN_DISTRICT, _UNIT, _HOME, _HOME_UNIT = 0.3, 0.4, 0.6, 0.65, 0.75

_NUMBER = "(?:[0-9]{1,5}|[零〇一二三四五六七八九十百]{1,6})"
# The house: everything hangs on it, so that a text without one costs a single pass. Behind it a compound's name may
# stand, blocks, units and the room, its number alone at last.
_HOUSE = re.compile(
    "(?:[路街道巷弄里村庄屯园苑庭湾城府厦院段组]|胡同|(?<!地)区)"
    f"((?:{_NUMBER}(?:-[0-9]{{1,4}})?(?:号院|号楼|号|弄|栋|幢|组)|[A-Z]座)"
    "(?:[ ,]?[\u4e00-\u9fff]{2,6}(?:小区|花园|公寓|大厦|新村|家园))?"
    f"(?:[ ,]?(?:[A-Za-z]|{_NUMBER})(?:号楼|号院|单元|号|栋|幢|座|室|楼|层|房|户|(?:-[0-9]{{1,4}}){{1,2}})){{0,5}}"
    "(?:(?<=[元栋幢座楼层])[ ,]?[0-9]{2,4}(?![0-9]))?)(?!线)"
)
_ROOM = re.compile("单元|室|房|户|[栋幢座楼]")
# What ends in front of an address; some of the words that lead to one are also part of names (于洪区, 从化区).
_BREAK = re.compile(
    "[^\u4e00-\u9fff0-9A-Za-z]|位于|住于|寄往|送至|坐落于?|户籍|地址|住址|现住|家住|搬至|迁至|送达|抵达|前往|来到|[在是到住寄]"
)
_WEAK_BREAK = re.compile("[于为从至往]")
_WITHIN = re.compile("[省市州]")
_PROVINCE = re.compile(
    "(?:北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西"
    "|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门)"
)
_DISTRICT = re.compile("[\u4e00-\u9fff]{2,7}(?:省|自治区|市|自治州|盟|区|县|旗)")
_CONTEXT = context(
    "住址|家住|住在|住于|家在|现住|居住|收货|收件|邮寄|寄到|寄往|寄给|送餐|配送|户籍|户口|我家|家庭",
    "home address|lives at|shipping address|deliver to",
)
# Characters in front of a house that are looked at, and those of a street without its city.
_NAME = 40
_LONGEST_STREET = 12
# A house with all that may belong to it in front: its street alone, or a province or a district and what follows.
_RUN = "[\u4e00-\u9fff0-9A-Za-z]"
_BEGUN = tuple(
    re.compile(begin + _HOUSE.pattern)
    for begin in (
        f"{_RUN}{{0,{_LONGEST_STREET}}}",
        f"{_PROVINCE.pattern}{_RUN}{{0,{_NAME}}}",
        f"{_DISTRICT.pattern}{_RUN}{{0,{_NAME}}}",
    )
)


class AddressCn:
    """Finds Chinese postal addresses. Stateless."""

    name = "address_cn"
    category = "pii.address_cn"
    patterns = _BEGUN

    def find(self, text: str) -> list[Match]:
        """Every address in a normalised text, in order."""
        found: list[Match] = []
        for m in _HOUSE.finditer(text):
            floor = found[-1].end if found else 0
            start = _start(text, max(floor, m.start() - _NAME), m.start() + 1)
            if m.start() - start >= 1:
                found.append(Match(start, m.end(), _score(text, start, m)))
        return found


def _start(text: str, low: int, high: int) -> int:
    """Where the address begins: at its province, else behind the last word that leads to it."""
    for m in _BREAK.finditer(text, low, high - 1):
        low = m.end()
    province = _PROVINCE.search(text, low, high)
    if province:
        return province.start()
    for m in _WEAK_BREAK.finditer(text, low, high - 1):
        if not _WITHIN.search(text, low, m.start()):
            low = m.end()
    # A street's name is short; what is longer is a sentence, unless a city or a district is named.
    return low if _DISTRICT.match(text, low, high) else max(low, high - _LONGEST_STREET)


def _score(text: str, start: int, match: re.Match[str]) -> float:
    unit = _ROOM.search(match[1]) is not None
    if near(_CONTEXT, text, start, match.end()):
        return _HOME_UNIT if unit else _HOME
    if unit:
        return _UNIT
    return _IN_DISTRICT if _DISTRICT.match(text, start) else _STREET
