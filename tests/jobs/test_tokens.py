"""Tokens: one spelling and one token for one value, a key file that is refused unless it is safe, and frames."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from conf import Settings, Source
from jobs import doctor, land, taking
from jobs.errors import DataRefused, Usage
from jobs.ledger import Ledger
from jobs.tokens import MAY_HOLD, TokenMaker, normalised, text_with_tokens, token_maker, tokenise
from tests.conftest import Place
from tests.jobs.sources import payments

SECRET = bytes(range(32))
MAKER = TokenMaker("7", SECRET, "IN")
GUIDE = Path(__file__).parents[2] / "docs" / "onboarding_a_source.md"
PERSONAL = '[personal]\nphone = "phone"\nemail = "email"\n'
COLUMNS = 'payment = "string"\nphone = "string"\ncustomer = "string"\nemail = "string"\npaid = "timestamp"\n'


def source_text() -> str:
    return payments(columns=COLUMNS + 'rupees = "decimal(14,2)"\n', limits=PERSONAL)


def token(kind: str, text: str) -> str:
    made = MAKER.token(kind, text)
    assert made is not None
    return made


# ---- texts


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("call 98765 43210 now", ["98765 43210"]),
        ('{"to":"+91-98765-43210","n":3}', ["+91-98765-43210"]),
        ("(098765) 43210", ["(098765) 43210"]),
        ("९८७६५४३२१०", ["९८७६५४३२१०"]),
        ("asha.rao+x@mail.example.co.in, 9876543210", ["asha.rao+x@mail.example.co.in", "9876543210"]),
        ('{"dwell_ms":1200,"price":"199.00","ref":"ab12"}', []),
        ("U123456789 is an id, P4711 too", []),
        # Next to letters, and with what people and programs put between the digits.
        ("mob9876543210", ["9876543210"]),
        ("9876543210_mum", ["9876543210"]),
        ("98765 – 43210, 98765‑43210, 98765/43210", ["98765 – 43210", "98765‑43210", "98765/43210"]),
        ("(98765) - 43210", ["(98765) - 43210"]),
        ("", []),
    ],
)
def test_in_a_text_what_looks_like_a_number_or_an_address_is_its_token(text: str, hidden: list[str]) -> None:
    made = text_with_tokens(text, MAKER)
    for value in hidden:
        text = text.replace(value, token("email" if "@" in value else "phone", value))
    assert made == text


PIECES = st.sampled_from(
    [
        *"0123456789",
        "98765",
        "+91 ",
        "-",
        " ",
        "\x0b",
        "\x1f",
        "\u2011",
        "\u0663",
        "a",
        "@",
        "x.in",
        "%40",
        "\\u0039",
        '"',
        "{",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_what_arrow_passes_over_holds_nothing(text: str) -> None:
    (may_hold,) = pc.match_substring_regex(pa.array([text.encode()]), MAY_HOLD).to_pylist()
    assert may_hold or text_with_tokens(text, MAKER) == text


def test_strings_of_json_are_read_as_they_are_meant() -> None:
    text = r'{"note": "call\n9876543210 or\tasha@example.com", "left": "\u202a9876543210\u202c", "9876543210": "Mum"}'
    phone, email = token("phone", "9876543210"), token("email", "asha@example.com")
    assert json.loads(text_with_tokens(text, MAKER)) == {
        "note": f"call\n{phone} or\t{email}",
        "left": f"\u202a{phone}\u202c",
        phone: "Mum",
    }


def test_a_number_in_json_is_still_json_once_it_is_a_token() -> None:
    made = json.loads(text_with_tokens('{"to": 9876543210, "rupees": 12.50, "quoted": "a \\"b\\" c"}', MAKER))
    assert made == {"to": token("phone", "9876543210"), "rupees": 12.5, "quoted": 'a "b" c'}


def test_an_address_in_a_link_is_an_address() -> None:
    assert text_with_tokens("mailto:asha%40example.com", MAKER) == f"mailto:{token('email', 'asha@example.com')}"


def test_a_long_text_without_an_address_takes_no_longer_than_its_length() -> None:
    # Quadratic, a million letters would take an hour: the test's own timeout.
    long = "x" * 1_000_000
    assert text_with_tokens(long, MAKER) == long


def test_what_is_no_number_is_another_text_in_a_registration_than_in_an_address_book() -> None:
    assert token("phone", "98765 43210") == token("contact", "+919876543210")
    assert token("phone", "unknown") != token("contact", "unknown")
    assert token("contact", "unknown") == token("contact", "Unknown")


# ---- one value, one spelling


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("phone", "98765 43210", "+919876543210"),
        ("phone", "09876543210", "+919876543210"),
        ("phone", " +91-98765-43210 ", "+919876543210"),
        ("phone", "919876543210", "+919876543210"),
        ("phone", "0091 9876543210", "+919876543210"),
        ("phone", "(098765) 43210", "+919876543210"),
        ("phone", "९८७६५४३२१०", "+919876543210"),
        ("phone", "９８７６５４３２１０", "+919876543210"),
        ("phone", "\u202a+91 98765 43210\u202c", "+919876543210"),  # as address books mark it
        ("contact", "98765 43210", "+919876543210"),
        ("contact", "+1 650-253-0000", "+16502530000"),
        ("phone", "12345", "12345"),  # too short for a number
        ("phone", "9876543210 ext 5", "9876543210 ext 5"),  # someone else's desk
        ("phone", "9.87654321E9", "9.87654321e9"),  # a spreadsheet lost a digit
        ("phone", "98765 RAVI", "98765 ravi"),  # on a keypad these letters would be digits
        ("phone", " N/A ", "n/a"),
        ("phone", "रवि", "रवि"),
        ("phone", "   ", ""),
        ("email", " Asha@Example.COM\n", "asha@example.com"),
        ("email", "asha.k+clm@example.com", "asha.k+clm@example.com"),
        ("email", "cafe\u0301@x.in", "caf\u00e9@x.in"),
        ("account", " ab-12 ", "ab-12"),
        ("account", "AB-12", "AB-12"),
        ("account", "\t", ""),
    ],
)
def test_one_spelling(kind: str, text: str, expected: str) -> None:
    assert normalised(kind, text, "IN") == expected


def test_the_region_says_where_a_number_without_a_country_code_is_dialled() -> None:
    assert normalised("phone", "020 7183 8750", "GB") == "+442071838750"
    assert normalised("phone", "020 7183 8750", "IN") != "+442071838750"


def test_a_token_is_the_hmac_of_its_kind_and_value() -> None:
    digest = hmac.new(SECRET, b"phone\0+919876543210", hashlib.sha256).hexdigest()
    assert MAKER.token("phone", "98765 43210") == f"k7_{digest}"
    assert len(digest) == 64


def test_a_contact_has_the_token_of_the_phone_and_no_other_kind_has() -> None:
    assert token("contact", "+91 98765 43210") == token("phone", "9876543210")
    assert len({token(kind, "+919876543210") for kind in ("phone", "email", "account")}) == 3


def test_another_key_makes_other_tokens() -> None:
    other = TokenMaker("8", SECRET[::-1], "IN")
    assert other.token("phone", "9876543210") != MAKER.token("phone", "9876543210")


@pytest.mark.parametrize("kind", ["phone", "contact", "email", "account"])
@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0\u3000"])
def test_blank_is_null(kind: str, blank: str) -> None:
    assert MAKER.token(kind, blank) is None


def test_texts_that_are_no_number_never_become_one() -> None:
    texts = [
        "रवि",
        "रवी",
        "र",
        "😀",
        "😁",
        "👩‍👩‍👧",
        "👩",
        "9876543210😀",
        "9876543210😁",
        "9876543210",
        "n/a",
        "na",
        "-",
        "--",
        "0",
        "00",
    ]
    for kind in ("phone", "email", "account"):
        assert len({token(kind, text) for text in texts}) == len(texts)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=6), st.sampled_from(["phone", "email", "account"]))
def test_distinct_normalised_values_have_distinct_tokens(texts: list[str], kind: str) -> None:
    values = {normalised(kind, text, "IN") for text in texts} - {""}
    tokens = {MAKER.token(kind, text) for text in texts} - {None}
    assert len(tokens) == len(values)


@given(st.lists(st.text(alphabet=st.characters(categories=["L", "M", "So", "Zs"]), min_size=1), min_size=2, max_size=6))
def test_text_without_digits_is_told_apart_whatever_its_script(texts: list[str]) -> None:
    def folded(text: str) -> str:
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())

    assert len({MAKER.token("phone", text) for text in texts}) == len({folded(text) for text in texts})


# ---- the key file

GOOD = f'current = 2\n[keys]\n1 = "{"ab" * 32}"\n2 = "{SECRET.hex()}"\n'


def with_keys(place: Place, text: str | None, mode: int = 0o600) -> Settings:
    settings = place.configure(source_text())
    file = place.root / "keys.toml"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    return settings.model_copy(update={"token_keys": str(file)})


def test_the_current_key_makes_tokens_and_is_not_shown(place: Place) -> None:
    maker = token_maker(with_keys(place, GOOD))
    assert maker == TokenMaker("2", SECRET, "IN")
    assert SECRET.hex() not in repr(maker)
    assert repr(SECRET) not in repr(maker)


def test_without_personal_columns_no_key_is_needed(place: Place) -> None:
    assert token_maker(place.configure(payments())) is None


def test_where_no_file_is_named_source_variable_and_next_step_are(place: Place) -> None:
    with pytest.raises(Usage, match=r"source payments has \[personal\].*CLM_TOKEN_KEYS.*onboarding_a_source\.md"):
        token_maker(place.configure(source_text()))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (None, 0o600, "keys.toml that CLM_TOKEN_KEYS names is not there"),
        (GOOD, 0o640, "keys.toml is open to others (mode 640): say `chmod 600"),
        (GOOD, 0o604, "is open to others (mode 604)"),
        (GOOD, 0o620, "is open to others (mode 620)"),
        ("current = ", 0o600, "it is not TOML"),
        (GOOD.replace("[keys]", "[keys]\n2 = 'x'"), 0o600, "it is not TOML"),  # an id twice
        ("", 0o600, "it should hold current and the table [keys]"),
        ("current = 1\n[keys]\n", 0o600, "it should hold current and the table [keys]"),
        ("key = 'x'\n" + GOOD, 0o600, "and nothing else"),
        (GOOD.replace("current = 2", "current = 3"), 0o600, "current should be the id of one of [keys]"),
        (GOOD.replace("1 = ", "zwei = "), 0o600, "the id of key number 1 should be a whole number"),
        (GOOD.replace("1 = ", "01 = "), 0o600, "the id of key number 1 should be a whole number"),
        (GOOD.replace(SECRET.hex(), SECRET.hex()[2:]), 0o600, "key 2 should be at least 64 hex digits"),
        (GOOD.replace("ab" * 32, "secret" * 20), 0o600, "key 1 should be at least 64 hex digits"),
        (GOOD.replace(f'"{"ab" * 32}"', "12"), 0o600, "key 1 should be at least 64 hex digits"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_by_name(
    place: Place, text: str | None, mode: int, said: str
) -> None:
    with pytest.raises(Usage) as caught:
        token_maker(with_keys(place, text, mode))
    assert said in str(caught.value)
    assert str(place.root / "keys.toml") in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("abab", SECRET.hex()[2:], "secretsecret"))


def a_folder(file: Path) -> str:
    file.mkdir()
    return "is not a file"


def a_link_to_one_that_others_read(file: Path) -> str:
    (file.parent / "elsewhere").write_text(GOOD)
    (file.parent / "elsewhere").chmod(0o644)
    file.symlink_to(file.parent / "elsewhere")
    return "is open to others (mode 644)"


def no_utf_8(file: Path) -> str:
    file.touch(0o600)
    file.write_bytes(b"\xff\xfe")
    return "it is not TOML"


@pytest.mark.parametrize("make", [a_folder, a_link_to_one_that_others_read, no_utf_8])
def test_what_is_no_key_file_is_refused(place: Place, make: Callable[[Path], str]) -> None:
    settings = with_keys(place, None)
    said = make(place.root / "keys.toml")
    with pytest.raises(Usage) as caught:
        token_maker(settings)
    assert said in str(caught.value)


def test_a_key_file_of_someone_else_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_keys(place, GOOD)
    someone = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: someone)
    with pytest.raises(Usage, match="belongs to another user"):
        token_maker(settings)


def test_the_command_of_the_guide_makes_a_key_file_once(place: Place) -> None:
    (command,) = (line for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("(umask 077"))
    first = subprocess.run(["bash", "-c", command], cwd=place.root, check=True, capture_output=True)
    settings = place.configure(source_text()).model_copy(update={"token_keys": str(place.root / "token_keys.toml")})
    maker = token_maker(settings)
    assert maker is not None
    assert (first.returncode, maker.key_id, len(maker.secret)) == (0, "1", 32)
    again = subprocess.run(["bash", "-c", command], cwd=place.root, check=False, capture_output=True)
    assert again.returncode != 0
    assert token_maker(settings) == maker, "a key that made tokens is not overwritten"


def test_doctor_looks_at_the_keys(place: Place) -> None:
    settings = with_keys(place, GOOD)
    assert "key 2 makes tokens" in doctor.token_keys(settings)
    with pytest.raises(Usage, match="mode 644"):
        doctor.token_keys(with_keys(place, GOOD, 0o644))


def test_the_region_is_pinned_with_the_first_tokens(place: Place) -> None:
    without = place.configure(payments(), base='[lake]\nregion = "GB"\n')
    ledger = Ledger.open(without.ledger_url)
    ledger.pin_lake(without)  # No token has been made: the region may still change.
    ledger.pin_lake(place.configure(source_text()))
    with pytest.raises(DataRefused, match="begun with region = 'IN' and is now given region = 'GB'"):
        ledger.pin_lake(place.configure(source_text(), base='[lake]\nregion = "GB"\n'))


# ---- frames

ROWS = "payment string, phone string, customer string, email string, paid timestamp, rupees decimal(14,2), day date"


def source(place: Place) -> Source:
    return place.configure(source_text()).sources[0]


def test_only_personal_columns_change(spark: SparkSession, place: Place) -> None:
    paid = datetime(2026, 1, 26, 4, 30, 0, 123456, tzinfo=UTC)
    amount, day = Decimal("123456789012.34"), date(1969, 12, 31)
    delivered = [
        ("p1", "98765 43210", "9876543210", "A@x.in", paid, amount, day),
        ("p2", None, None, " ", None, None, None),
        ("p3", '{"a": 1.50}', "c3", "a@X.in", paid, amount, day),  # an object where text was agreed
    ]
    rows = spark.createDataFrame(delivered, ROWS)
    made = tokenise(rows, source(place), MAKER)
    assert made.schema == rows.schema
    first, second, third = made.orderBy("payment").collect()
    naive = paid.replace(tzinfo=None)  # the session shows UTC
    email = token("email", "a@x.in")
    assert tuple(first) == ("p1", token("phone", "9876543210"), "9876543210", email, naive, amount, day)
    assert tuple(second) == ("p2", None, None, None, None, None, None)
    assert tuple(third) == ("p3", token("phone", '{"a": 1.50}'), "c3", email, naive, amount, day)


def test_a_parquet_file_keeps_its_types_beside_tokens(spark: SparkSession, place: Place) -> None:
    files = 'format = "parquet"\nmanifest = "computed"\n'
    columns = COLUMNS + 'rupees = "decimal(14,2)"\n'
    text = payments(columns=columns, limits=PERSONAL, files=files, path="payments/{date}/*.parquet")
    settings = place.configure(text)
    folder = place.landing / "payments" / "2026-01-26"
    folder.mkdir(parents=True)
    local = datetime.fromisoformat("2026-01-26T10:00:00")
    row = {"payment": "p1", "phone": "98765 43210", "customer": "c1", "email": None, "paid": local}
    row |= {"rupees": Decimal("12.50"), "other": "98765 43210"}
    types = pa.schema([(name, pa.string()) for name in ("payment", "phone", "customer", "email", "other")])
    types = types.append(pa.field("paid", pa.timestamp("us"))).append(pa.field("rupees", pa.decimal128(14, 2)))
    pq.write_table(pa.Table.from_pylist([row], types), folder / "a.parquet")
    parts = taking.take(settings.sources[0], place.landing, Ledger.open(settings.ledger_url), [date(2026, 1, 26)])
    (made,) = land.read(spark, settings.sources[0], parts, MAKER).collect()
    assert (made["phone"], made["email"]) == (token("phone", "9876543210"), None)
    # 10:00 in the source's zone, Asia/Kolkata, is 04:30 UTC.
    assert (made["paid"], made["rupees"]) == (datetime.fromisoformat("2026-01-26T04:30:00"), Decimal("12.50"))
    assert made["undeclared"] == '{"other":"withheld"}'


def test_bytes_that_are_no_text_become_tokens_of_their_own(spark: SparkSession, place: Place) -> None:
    delivered = spark.createDataFrame([(bytearray(b"\xff\xfe"),), (bytearray(b"\xff\xfd"),)], "raw binary")
    rows = delivered.selectExpr("'p' as payment", "cast(raw as string) as phone", "cast(null as string) as email")
    found = {row["phone"] for row in tokenise(rows, source(place), MAKER).collect()}
    assert len(found) == 2
    assert all(each.startswith("k7_") for each in found)


def test_plans_do_not_show_the_key(spark: SparkSession, place: Place) -> None:
    made = tokenise(spark.createDataFrame([("p", "1", "c", "e", None, None, None)], ROWS), source(place), MAKER)
    plan = made._jdf.queryExecution().toString()
    assert "token(phone" in plan
    assert not any(shown in plan for shown in (SECRET.hex(), repr(SECRET), str(list(SECRET))[1:-1], "\x01\x02\x03"))


def test_without_personal_columns_nothing_is_done(spark: SparkSession, place: Place) -> None:
    rows = spark.range(1)
    assert tokenise(rows, place.configure(payments()).sources[0], None) is rows


def test_personal_columns_never_pass_without_a_key(spark: SparkSession, place: Place) -> None:
    with pytest.raises(Usage, match="no key"):
        tokenise(spark.range(1), source(place), None)
