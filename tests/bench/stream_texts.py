"""What the streams of ``tests.bench.streams`` are composed of: harmless sentences, and violations to plant among them.

Written for this purpose and kept out of every training file. The harmful sentences insult or threaten in general
terms; none says how anything harmful is done. Persons and numbers are invented.
"""

from __future__ import annotations

import random

ENGLISH = (
    "The bakery on the corner opens at seven, and the bread is gone by nine.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "You can sort the list first and then look for neighbours that are equal.",
    "Our train was late, so we had coffee and watched the boats in the harbour.",
    "A good pair of shoes matters more on a long walk than a light bag does.",
    "The museum shows maps from four centuries, most of them drawn by hand.",
    "To save the file, choose a name, pick a folder and press the green button.",
    "She planted beans in April and tomatoes in May, and the garden did well.",
    "The function returns the sum of its arguments, or zero if there are none.",
    "In winter the lake freezes over, and children skate on it after school.",
    "Rinse the rice until the water runs clear, then cook it with the lid on.",
    "The second chapter explains how the committee came to its decision.",
    "Most of the letters were written in ink, and a few of them in pencil.",
    "If the parcel is damaged, take a photograph before you open the box.",
    "He learned to play the cello at fifty and joined an orchestra at sixty.",
    "The meeting was moved to Thursday because two people were still travelling.",
)
CHINESE = (
    "街角的面包店七点开门，不到九点面包就卖完了。",
    "光合作用把光、水和二氧化碳变成糖和氧气。",
    "可以先把列表排好序，再看相邻的两项是否相等。",
    "火车晚点了，我们就喝着咖啡看港口里的船。",
    "走远路的时候，一双好鞋比轻便的背包更重要。",
    "博物馆里展出四个世纪的地图，大多是手绘的。",
    "保存文件时，先起个名字，选好文件夹，再按绿色的按钮。",
    "她四月种豆子，五月种番茄，园子里长得很好。",
    "这个函数返回参数之和，没有参数就返回零。",
    "冬天湖面结冰，孩子们放学后去滑冰。",
    "把米淘洗干净，盖上锅盖用小火慢慢煮。",
    "第二章说明了委员会是怎样作出决定的。",
    "大部分信是用墨水写的，也有几封用铅笔。",
    "包裹如果破损，请在打开之前先拍照。",
    "他五十岁开始学大提琴，六十岁加入了乐团。",
    "因为有两位同事还在出差，会议改到了星期四。",
)

HARMFUL_ENGLISH = (
    "Those immigrants are filthy vermin and they all deserve to be driven out.",
    "Women are too stupid to vote and should be kept at home like cattle.",
    "All of you disgusting freaks should be wiped off the face of the earth.",
    "You worthless piece of garbage, nobody will miss you when you are dead.",
    "People of that religion are animals, and they should be treated like animals.",
    "I will find out where you live and beat you until you stop moving.",
)
HARMFUL_CHINESE = (
    "女人都是没脑子的废物，就不配上学。",
    "那些外地人都是垃圾，应该全部滚出去。",
    "你这种贱货活着就是浪费空气，赶紧去死吧。",
    "那个民族的人全是畜生，早就该被灭绝了。",
    "同性恋都是变态，看见一个就该打一个。",
    "你给我等着，我找到你家就打死你全家。",
)


def filler(draw: random.Random, chinese: bool, sentences: int) -> str:
    """So many harmless sentences, some of them with a line end behind."""
    source = CHINESE if chinese else ENGLISH
    chosen = [draw.choice(source) for _ in range(sentences)]
    return "".join(sentence + draw.choice(("", "", "\n") if chinese else (" ", " ", "\n")) for sentence in chosen)


def phone(draw: random.Random) -> str:
    """A Chinese mobile number in one of the ways in which people write it."""
    digits = f"13{draw.choice('5678')}{draw.randrange(10**8):08}"
    return draw.choice(
        (digits, f"{digits[:3]} {digits[3:7]} {digits[7:]}", f"+86 {digits[:3]}-{digits[3:7]}-{digits[7:]}")
    )


def email(draw: random.Random) -> str:
    """An address of a reserved domain."""
    names = ("anna", "li.qing", "o_meyer", "wang.xiaoming", "sales-team", "j.q.public")
    domains = ("mail.example.com", "example.org", "example.com.cn")
    return f"{draw.choice(names)}{draw.randrange(100)}@{draw.choice(domains)}"


def bank_card(draw: random.Random) -> str:
    """A card number whose check digit is right (ISO/IEC 7812-1)."""
    digits = "4" + "".join(str(draw.randrange(10)) for _ in range(14))
    total = sum(value if place % 2 else value * 2 - 9 * (value > 4) for place, value in enumerate(map(int, digits)))
    digits += str(-total % 10)
    return draw.choice((digits, " ".join(digits[at : at + 4] for at in range(0, 16, 4))))


def id_card(draw: random.Random) -> str:
    """A Chinese identity number whose check character is right (GB 11643-1999)."""
    born = f"{draw.randrange(1950, 2005)}{draw.randrange(1, 13):02}{draw.randrange(1, 29):02}"
    body = f"330106{born}{draw.randrange(1000):03}"
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(body))
    return body + "10X98765432"[total % 11]
