"""Phone numbers and e-mail addresses: functions of a number, so that a search knows what to look for.

Each is written twice, in Python and as SQL text for a column of numbers. Customer n has the phone n, and after a change
of phone the number SPARE + n; strangers in address books lie between. E-mails end in domains that nobody can own.
"""

from __future__ import annotations

from jobs.simulate.chance import Chance

# Ten-digit Indian mobile numbers begin with 6 to 9: so many there are, from the first one on.
NUMBERS, FIRST_NUMBER = 4_000_000_000, 6_000_000_000
# Without a factor in common with NUMBERS, so that no two numbers share a phone; the product still fits in a bigint.
STEP, SHIFT = 1_618_033_989, 1_234_567_890

STRANGERS, MANY_STRANGERS = 1_000_000_000, 2_000_000_000
SPARE = 3_000_000_000

NAMES = ("asha", "ravi", "meena", "imran", "joseph", "kavita", "arjun")
DOMAINS = ("example.com", "example.in", "mail.example")


def phone_of(number: int) -> str:
    """Ten digits, different for each number from 0 to 3,999,999,999."""
    return str((number * STEP + SHIFT) % NUMBERS + FIRST_NUMBER)


def spellings(number: int) -> tuple[str, ...]:
    """Every way in which the simulator writes a phone number."""
    digits = phone_of(number)
    first, last = digits[:5], digits[5:]
    return digits, f"+91{digits}", f"+91 {first} {last}", f"0{first}-{last}", f"{first} {last}"


def email_of(number: int) -> str:
    return f"{NAMES[number % len(NAMES)]}.{number}@{DOMAINS[number % len(DOMAINS)]}"


def phone(number: str) -> str:
    """SQL text of `phone_of` a bigint."""
    return f"cast(pmod({number} * {STEP}L + {SHIFT}L, {NUMBERS}L) + {FIRST_NUMBER}L as string)"


def spelt(digits: str, draw: Chance, purpose: str = "spelling") -> str:
    """SQL text of one of the `spellings` of the column `digits`."""
    first, last = f"left({digits}, 5)", f"right({digits}, 5)"
    way = draw.number(purpose, 1, 5)
    return (
        f"elt({way}, {digits}, concat('+91', {digits}), concat('+91 ', {first}, ' ', {last}), "
        f"concat('0', {first}, '-', {last}), concat({first}, ' ', {last}))"
    )


def email(number: str) -> str:
    """SQL text of `email_of` a bigint."""
    name = f"elt(cast(pmod({number}, {len(NAMES)}) as int) + 1, {_listed(NAMES)})"
    domain = f"elt(cast(pmod({number}, {len(DOMAINS)}) as int) + 1, {_listed(DOMAINS)})"
    return f"concat({name}, '.', cast({number} as string), '@', {domain})"


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(f"'{text}'" for text in texts)
