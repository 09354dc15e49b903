"""Three worlds that look alike from outside: why those who sent money stay longer is different in each.

The constants of the default world were found once by bisection, at 200,000 customers on two seeds, so that the naive
comparison says 40 % for recharge-only customers and 70 % for those who moved up to sending money
(docs/simulator.md holds the table; a slow test holds the figures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Day of the landmark: who has sent money by then may stay longer from then on. Days count from the first payment.
LANDMARK = 30
# What is asked: active on at least one of these days?
WINDOW = (90, 119)


@dataclass(frozen=True)
class World:
    """What drives sending and leaving.

    A share of the customers, `senders`, can ever send money; such a one does so for the first time on an active day
    with the chance `sending`. The chance per day of leaving is `leaving`, and after the landmark `leaving` times
    `effect` for whoever has sent money by then. A share of customers has a trait: it multiplies their `sending`,
    `leaving` and payments per day.
    """

    sending: float
    leaving: float
    effect: float
    senders: float
    trait_sending: float = 1.0
    trait_leaving: float = 1.0
    trait_rate: float = 1.0


TRAIT_SHARE = 0.5

SENDERS = 0.58
SENDING = 0.18
LEAVING = 0.00658
EFFECT = 0.54

WORLDS: Mapping[str, World] = {
    # Sending money is a matter of chance, and keeps people.
    "causal": World(SENDING, LEAVING, EFFECT, SENDERS),
    # The same chance, and it keeps nobody.
    "keen": World(SENDING, LEAVING, 1.0, SENDERS),
    # It keeps nobody, but those with the trait send more and stay longer, and show it only a little in what they do.
    "hidden": World(SENDING / 3, LEAVING * 1.5, 1.0, SENDERS, trait_sending=4.0, trait_leaving=0.35, trait_rate=1.3),
}
