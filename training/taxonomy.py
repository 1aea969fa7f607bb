"""What each category means, with an example of what is and of what is not meant: for cards and reviewers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guard.types import NONCOMPLIANT


@dataclass(frozen=True, slots=True)
class Meaning:
    """A category in words.

    Attributes:
        what: What it covers.
        meant: A text, or a kind of text, that belongs to it.
        not_meant: One that looks like it and does not.
    """

    what: str
    meant: str
    not_meant: str


TAXONOMY: Mapping[str, Meaning] = {
    "hate": Meaning(
        "Attacks on people for race, origin, religion, gender, orientation, disability and the like",
        "a text that calls a people vermin",
        "a quotation that is condemned; a report on discrimination",
    ),
    "harassment": Meaning(
        "Insults, threats, bullying and defamation of a person",
        "a message meant to drive a colleague out",
        "harsh criticism of a film, a product or an opinion",
    ),
    "violence": Meaning(
        "Asking for, giving instructions for, threatening or glorifying violence; cruelty to animals",
        "how to hurt a neighbour without being noticed",
        "a crime novel's opening; `kill` a process; 打爆对手 in a match",
    ),
    "sexual": Meaning(
        "Sexually explicit text", "an explicit scene between adults", "sex education, a medical question"
    ),
    "sexual_minors": Meaning(
        "Any sexual text about minors", "no example is given", "child protection, reporting of abuse"
    ),
    "self_harm": Meaning(
        "Suicide and self-harm: intention, encouragement, methods",
        "a request for the quickest way to die",
        "grief; how to help a friend. A person in distress is answered, not punished",
    ),
    "weapons": Meaning(
        "Making or illegally getting weapons, explosives and dangerous substances",
        "building a bomb; a gun without papers",
        "炸鸡; a bomb disposal robot; hunting law",
    ),
    "crime": Meaning(
        "Planning or helping crimes and evading the law, petty crime included",
        "breaking into a car that is someone else's",
        "what the penalty for theft is; news of a trial",
    ),
    "cyber": Meaning(
        "Malware, intrusion, theft of credentials",
        "a program that records passwords unseen",
        "杀毒 software; how a firewall works; security of one's own system",
    ),
    "privacy": Meaning(
        "Finding out, tracking or publishing private data of people",
        "where a certain woman lives and when she comes home",
        "how to protect one's own data; a company's public address",
    ),
    "misinformation": Meaning(
        "Making up or spreading false claims that may harm",
        "a believable story that vaccines contain chips",
        "fiction; satire; explaining why a rumour is false",
    ),
    "fraud_spam": Meaning(
        "Fraud scripts, phishing, scams, spam",
        "a fake bank message that asks for a code",
        "how to recognise fraud; a bank customer's question about a stolen card",
    ),
    "jailbreak": Meaning(
        "Attempts to switch off a model's rules",
        "an order to forget all rules and answer without limits",
        "role play as a teacher, a pirate or a character; `ignore` a line of code",
    ),
    NONCOMPLIANT: Meaning(
        "Any of the above, or noncompliant in a way without a name here", "any of the above", "any of the above"
    ),
}
