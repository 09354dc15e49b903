"""Personal values are nowhere in the lake: planted in every kind of row, then looked for in every byte of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.__main__ import main
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.tokens import TokenMaker
from tests.conftest import Place
from tests.jobs.sources import CUSTOMERS, HEADER, PAYMENT_COLUMNS, payments

MON, TUE = date(2026, 1, 26), date(2026, 1, 27)
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
SECRET = bytes(range(32))
MAKER = TokenMaker("1", SECRET, "IN")
TOKEN = re.compile(r"k1_[0-9a-f]{64}")

PAYMENTS = payments(
    columns=PAYMENT_COLUMNS + 'payee = "string"\n',
    changed_map='counterparty_token = "payee"',
    limits='max_quarantined = 0.9\n[personal]\npayee = "contact"\n',
)
PEOPLE = CUSTOMERS.replace('language = "string"\n', 'language = "string"\nphone = "string"\nemail = "string"\n') + (
    'phone = "phone"\nemail = "email"\n[limits]\nmax_quarantined = 0.9\n[personal]\nphone = "phone"\nemail = "email"\n'
)
LINES = [
    f"{HEADER},payee,alternate",
    "p1,c-visible,2026-01-26 10:00:00,10.00,98111 11101,9811111102",  # alternate: nobody declared it
    "p2,c-visible,yesterday,10.00,+91 98111-11103,",  # quarantined
    "p3,c-visible,2026-01-26 10:00:00,10.00,9811111104,9811111105,9811111106",  # a cell too many: unparsable
    'p4,c-visible,2026-01-26 11:00:00,10.00,"9811111107\nnot a number",',
    "p5,c-visible,2026-01-26 12:00:00,10.00,,",
]
AT = '"registered": "2026-01-26T04:00:00Z", "changed": "2026-01-26T04:00:00Z", "language": "hi"'
PERSONS = [
    f'{{"customer": "c-visible", {AT}, "phone": "09811111101", "email": " Asha.Hidden@Example.com "}}',
    f'{{"customer": "c2", {AT}, "phone": {{"home": "9811111108"}}, "email": null, "alternate": "9811111109"}}',
    f'{{"customer": null, {AT}, "phone": 9811111110, "email": "ravi.hidden@example.com"}}',  # quarantined
    f'{{"customer": "c4", "phone": "9811111111", "email": "mira.hidden@example.com", {AT}',  # unparsable
]
# As they are shipped: calls in the Segment spec, and address books.
EVENTS, BOOKS = (
    (Path(__file__).parents[2] / f"conf/sources/{name}.toml").read_text("utf-8") for name in ("app_events", "contacts")
)
CALLED = '"receivedAt": "2026-01-26T04:00:00Z", "anonymousId": "d1"'
CALLS = [
    f'{{"type": "identify", "messageId": "m1", "userId": "c-visible", {CALLED}, "context": {{"ip": "9811111112"}}, '
    '"traits": {"phone": "+91 98111 11101", "email": "Asha.Hidden@example.com", "name": "9811111113"}}',
    f'{{"type": "track", "event": "search", "messageId": "m2", {CALLED}, "note": "9811111114", '
    '"properties": {"query": "call 98111-11115, or zoe.hidden@example.com", "dwell_ms": 12}}',
    f'{{"type": "track", "messageId": "m3", {CALLED}, "properties": {{"query": "98111 11116"}}}}',  # quarantined
    f'{{"type": "track", "event": "search", "messageId": "m4", {CALLED}, "properties": {{"query": "9811111117"}}',
]
SAVED = '"saved": "2026-01-26T04:00:00Z", "deleted": false'
CONTACTS = [
    f'{{"user_id": "c2", "number": "+91 98111 11101", {SAVED}}}',  # a customer's
    f'{{"user_id": "c2", "number": "9811111118", {SAVED}}}',
    f'{{"user_id": "c2", "number": "माँ 9811111119", {SAVED}}}',  # a name in the place of a number
    f'{{"user_id": "c2", "number": "माँ", {SAVED}}}',
    f'{{"user_id": "c2", "number": "👵", {SAVED}}}',
    f'{{"user_id": "c2", "number": "  ", {SAVED}}}',  # nothing: quarantined
]
# Ten digits, however they are broken up, and the addresses.
NEEDLES = [re.compile(r"98111[ -]?111\d\d"), re.compile(r"\w+\.hidden@", re.IGNORECASE)]
Clm = Callable[..., tuple[int, str]]


def contents(lake: Path) -> dict[Path, str]:
    """Every file of the lake as it lies there, and what Parquet packs into it."""
    held: dict[Path, str] = {}
    for file in sorted(file for file in lake.rglob("*") if file.is_file()):
        held[file] = file.read_bytes().decode("latin-1")
        if file.name.endswith(".parquet"):
            held[file] += repr(pq.ParquetFile(file).read().to_pylist())
    return held


def holding(lake: Path, *needles: re.Pattern[str]) -> set[str]:
    """Names of the files of the lake that hold one of the needles."""
    held = contents(lake).items()
    return {str(file.relative_to(lake)) for file, content in held if any(needle.search(content) for needle in needles)}


@pytest.fixture
def clm(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Clm:
    """Runs the command; its exit code, and all that it and Spark printed."""

    def command(*arguments: str, keys: Path | None) -> tuple[int, str]:
        for name, value in {**place.environ, "CLM_TOKEN_KEYS": str(keys or "")}.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main(arguments)
        printed = capfd.readouterr()
        return code, printed.out + printed.err

    return command


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(f'current = 1\n[keys]\n1 = "{SECRET.hex()}"\n')
    file.chmod(0o600)
    return file


def test_without_keys_nothing_is_begun(place: Place, keys: Path, clm: Clm) -> None:
    place.configure(PAYMENTS, PEOPLE, base=BASE)
    code, said = clm("run", "--date", str(MON), keys=None)
    assert (code, "The source customers has [personal] columns, and CLM_TOKEN_KEYS" in said) == (2, True)
    keys.chmod(0o644)
    code, said = clm("run", "--date", str(MON), keys=keys)
    assert (code, f"chmod 600 {keys}" in said) == (2, True)
    assert not (place.root / "lake").exists()


def test_personal_values_are_nowhere_in_the_lake(spark: SparkSession, place: Place, keys: Path, clm: Clm) -> None:
    lenient = [text.replace("max_quarantined = 0.05", "max_quarantined = 0.9") for text in (EVENTS, BOOKS)]
    settings = place.configure(PAYMENTS, PEOPLE, *lenient, base=BASE)
    place.deliver("payments", MON, LINES)
    for name, lines in (("customers", PERSONS), ("app_events", CALLS), ("contacts", CONTACTS)):
        place.deliver(name, MON, lines, name="part-0001.jsonl.gz")
    code, printed = clm("run", "--date", str(MON), keys=keys)
    assert code == 0, printed
    root = Path(settings.lake.root)
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))

    def column(table: str, name: str) -> set[str | None]:
        return {row[0] for row in lake.read_day(table, MON).selectExpr(name).collect()}

    # Tokens are where the values were, of refused rows as well, and join across sources and kinds.
    asha = MAKER.token("phone", "9811111101")
    broken = MAKER.token("contact", "9811111107\nnot a number")
    assert column("raw.payments", "payee") == {asha, MAKER.token("phone", "9811111103"), broken, None}
    assert column("core.transactions", "counterparty_token") == {asha, broken, None}
    assert column("core.customers", "phone") == {asha, MAKER.token("phone", '{"home": "9811111108"}')}
    assert column("core.customers", "email") == {MAKER.token("email", "asha.hidden@example.com"), None}
    refused = " ".join(row or "" for row in column("core.quarantine", "row"))
    assert set(TOKEN.findall(refused)) == {
        MAKER.token("phone", "9811111103"),
        MAKER.token("phone", "9811111110"),
        MAKER.token("email", "ravi.hidden@example.com"),
        MAKER.token("phone", "9811111116"),
    }
    # Of the traits the two that are asked for; within a text what looks like a number or an address.
    assert column("raw.app_events", "phone") == {asha, None}
    assert column("core.app_events", "properties") == {
        None,
        f'{{"query": "call {MAKER.token("phone", "9811111115")}, or {MAKER.token("email", "zoe.hidden@example.com")}", '
        '"dwell_ms": 12}',
    }
    # Each name stays itself, and the number is the customer's whose phone it is.
    own, numbers = asha, column("core.contacts", "contact_token")
    assert numbers == {own, *(MAKER.token("contact", text) for text in ("9811111118", "माँ 9811111119", "माँ", "👵"))}
    assert len(numbers) == 5
    assert column("core.contact_links", "concat_ws(' ', customer_id, contact_token, contact_customer_id)") == {
        f"c2 {own} c-visible"
    }
    # What ad platforms match on: lower-case SHA-256 of the digits with the country code, of E.164, of the address.
    assert column("restricted.contact_hashes", "concat_ws(' ', kind, sha256, sha256_plus)") >= {
        " ".join(("phone", *(sha256(text.encode()).hexdigest() for text in ("919811111101", "+919811111101")))),
        f"email {sha256(b'asha.hidden@example.com').hexdigest()}",
    }
    restricted = Path(settings.lake.restricted)
    assert restricted.stat().st_mode & 0o777 == 0o700
    assert "unparsable" in column("core.quarantine", "concat_ws(' ', reasons)")
    assert column("raw.payments", "undeclared") == {'{"alternate":"withheld"}', None}
    assert column("raw.customers", "undeclared") == {'{"alternate":"withheld"}', None}
    assert column("raw.app_events", "undeclared") == {'{"note":"withheld"}', None}

    # The search finds what is there: a customer's id in Parquet, a delivery's in the log and in the ledger.
    assert {name.split("/")[1] for name in holding(root, re.compile("c-visible")) if "/" in name} >= {
        "payments",
        "transactions",
        "quarantine",
        "customer_daily",
    }
    delivered = holding(root, re.compile("payments-2026-01-26-1"))
    assert any("_delta_log" in name for name in delivered)
    assert any(name.startswith("ledger.db") for name in delivered)

    # And the values are not, nor is the key; not in what was printed either.
    assert holding(root, *NEEDLES, re.compile(SECRET.hex())) == set()
    assert not any(needle.search(printed) for needle in NEEDLES)

    # A file without its header: the first row is not quoted as if it were names, neither now nor in the ledger.
    place.deliver("payments", TUE, LINES[1:3])
    for name in ("customers", "app_events", "contacts"):
        place.deliver(name, TUE, [])
    code, printed = clm("run", "--date", str(TUE), keys=keys)
    assert (code, "none of the columns declared: does it begin with their names?" in printed) == (3, True), printed
    assert holding(root, *NEEDLES) == set()
    assert not any(needle.search(printed) for needle in NEEDLES)
