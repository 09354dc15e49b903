"""Tokens of personal columns: HMAC-SHA-256 under the keys of the file that `CLM_TOKEN_KEYS` names, in SQL.

The message is the kind of the value, a zero byte, and the value in the one spelling that its kind has. A text that
is no number is of a kind of its own, `no phone` or `no contact`.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

import duckdb
import phonenumbers

from conf import Settings, Source

BLOCK = 64  # bytes of a block of SHA-256


def prepare(database: duckdb.DuckDBPyConnection, settings: Settings, source: Source, rows: str) -> None:
    """Makes what `of_column` needs for the source's rows: the macro `token`, and a token for each distinct number.

    One row of `number_tokens` is one text in a column of phone numbers, as it was said, with its token.
    """
    if not source.personal:
        return
    keys = tomllib.loads(Path(settings.token_keys or "").read_text())
    key = bytes.fromhex(keys["keys"][str(keys["current"])]).ljust(BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in key).hex() for pad in (0x36, 0x5C))
    database.execute(
        f"""
        create or replace temp macro token(kind, value) as 'k{keys["current"]}_' || sha256(
            unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode(kind) || unhex('00') || encode(value)))
        )
        """
    )
    said = database.execute(
        " union ".join(
            f"""select distinct '{kind}', "{name}" from {rows} where trim("{name}") <> ''"""
            for name, kind in source.personal.items()
            if kind in ("phone", "contact")
        )
        or "select null, null where false"
    ).fetchall()
    numbers = [_number(text, settings.lake.region) for _, text in said]
    database.execute(
        """
        create or replace temp table number_tokens as
        select kind, said, coalesce(token('phone', number), token('no ' || kind, lower(nfc_normalize(trim(said)))))
            as token
        from (select unnest($1::varchar[]) as kind, unnest($2::varchar[]) as said, unnest($3::varchar[]) as number)
        """,
        [[kind for kind, _ in said], [text for _, text in said], numbers],
    )


def of_column(name: str, kind: str) -> str:
    """The token of a column in SQL; of blanks null. Of a free text nothing is kept: see `comparison.APART`."""
    match kind:
        case "phone" | "contact":
            return f"""(select token from number_tokens where kind = '{kind}' and said = "{name}")"""
        case "email":
            return f"""token('email', nullif(lower(nfc_normalize(trim("{name}"))), ''))"""
        case "account":
            return f"""token('account', nullif(nfc_normalize(trim("{name}")), ''))"""
        case _:
            return "null::varchar"


@lru_cache(maxsize=1_000_000)  # the same people come every night
def _number(text: str, region: str) -> str | None:
    """The phone number in E.164, or nothing where the text cannot be one."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or any(letter.isalpha() for letter in text) or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
