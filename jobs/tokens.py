"""Tokens: what stands in the lake in place of a phone number, an e-mail address or an account.

A token is `k<id>_` and the 64 hex digits of HMAC-SHA-256 over the kind and the normalised value, under a secret key
that only the key file holds. Equal values have equal tokens, so they can be joined and counted; without the key nobody
can try out all phone numbers, as a plain hash would let them.

Executors run this module as well: it imports nothing of the project that they could do without.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import tomllib
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.errors import Usage

if TYPE_CHECKING:
    from conf import Settings, Source

# What one kind of value is told apart from another by. A contact is someone's phone number: where that someone is a
# customer, equal tokens find them, so that both share one domain.
DOMAINS = {"phone": "phone", "contact": "phone", "email": "email", "account": "account"}

KEY_ID = re.compile(r"[1-9][0-9]{0,5}")
SECRET = re.compile(r"(?:[0-9A-Fa-f]{2}){32,}")
HOW = "How to make one: docs/onboarding_a_source.md, “Personal columns”."

# Unicode categories of what people write into a number: digits, blanks, hyphens, brackets, and the invisible marks
# that address books put around it. A letter or a sign among them makes it another text, not another spelling.
PHONE_CATEGORIES = frozenset({"Nd", "Zs", "Cf", "Pd", "Ps", "Pe", "Po"})
REMEMBERED = 1 << 16
# What looks like an e-mail address, or like a phone number, in a text of any kind. Rather too much than too little: a
# long number of another kind becomes a token as well, and is still equal where it was equal. Between its digits may
# stand what people write there and the marks that nobody sees; next to a letter it takes ten digits: ids have fewer.
# Possessive, so that a long text takes no longer.
BETWEEN_DIGITS = r"[\s().\-/_\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060]"
IN_TEXT = re.compile(
    r"(?P<email>(?<![\w.+%-])[\w.+%-]++@[\w-]+(?:\.[\w-]+)+)|"
    rf"(?P<phone>(?<!\w)[+＋]?\(?\d(?:{BETWEEN_DIGITS}{{0,4}}\d){{7,14}}(?!\w)|(?<!\d)\d{{10,15}}(?!\d))"
)
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
# What every text that may hold either has: Arrow finds those in a whole batch, and the others are left as they are. Of
# what is escaped or no ASCII nothing is said here.
MAY_HOLD = rb"@|%40|\\|[^\x00-\x7f]|(?:\d[^\dA-Za-z]{0,4}){7}\d"


@dataclass(frozen=True)
class TokenMaker:
    """Makes the tokens of one lake: with the current key, and for phone numbers the region they are dialled in."""

    key_id: str
    secret: bytes = field(repr=False)
    region: str

    def token(self, kind: str, text: str) -> str | None:
        """The token of a value of `kind`, however it is spelt; None for a blank one."""
        value = normalised(kind, text, self.region)
        if not value:
            return None
        domain = DOMAINS[kind]
        if domain == "phone" and e164(value, self.region) is None:
            # "0" and "unknown" in a registration are not the "0" and "unknown" of an address book.
            domain = f"no {kind}"
        # Bytes that are no UTF-8 come as surrogates: they go in as they came, so that no two values become one.
        message = f"{domain}\0{value}".encode("utf-8", "surrogateescape")
        return f"k{self.key_id}_{hmac.digest(self.secret, message, 'sha256').hex()}"


def text_with_tokens(text: str, maker: TokenMaker) -> str:
    """A text, often JSON, in which what looks like a phone number or an e-mail address is its token.

    Of JSON the strings are looked at as they are meant, not as they are written: a line break is no letter n.
    """

    def plain(said: str) -> str:
        return IN_TEXT.sub(lambda found: maker.token(str(found.lastgroup), found[0]) or "", said.replace("%40", "@"))

    def string(found: re.Match[str]) -> str:
        try:
            said = json.loads(found[0], strict=False)
        except ValueError:
            return plain(found[0])
        told = plain(said)
        return found[0] if told == said else json.dumps(told, ensure_ascii=False)

    if not text.lstrip().startswith(("{", "[")):
        return plain(text)
    # A number is a token only in quotes.
    between = [IN_TEXT.sub(lambda found: f'"{plain(found[0])}"', rest) for rest in JSON_STRING.split(text)]
    strings = [string(found) for found in JSON_STRING.finditer(text)]
    return "".join(piece for pair in zip(between, [*strings, ""], strict=True) for piece in pair)


def withheld(name: str) -> str:
    """A name that someone gave a column, to be shown: nobody's number or address."""
    return IN_TEXT.sub("withheld", name)


def tokenise(rows: DataFrame, source: Source, maker: TokenMaker | None) -> DataFrame:
    """`rows` with the personal columns of `source` as tokens, everything else as it was.

    `maker` may be None where the source has no personal columns.
    """
    if not source.personal:
        return rows
    if maker is None:
        raise Usage(f"The source {source.name} has [personal] columns, and there is no key to make tokens with.")
    return rows.withColumns({name: token_column(name, kind, maker) for name, kind in source.personal.items()})


def token_column(name: str, kind: str, maker: TokenMaker) -> Column:
    """The column `name` with tokens in place of what stands in it."""

    # The key travels inside the pickled function: plans, the UI and the event log show the function's name alone.
    def made(value: bytes) -> str | None:
        if kind == "text":
            return text_with_tokens(value.decode("utf-8", "replace"), maker)
        return maker.token(kind, value.decode("utf-8", "surrogateescape"))

    def token(values: pa.Array) -> pa.Array:
        delivered = values.cast(pa.binary())
        is_asked = delivered.is_valid()
        if kind == "text":
            # PyArrow makes its functions when it is loaded, where no type checker sees them.
            is_asked = pc.call_function("match_substring_regex", [delivered], pc.MatchSubstringOptions(MAY_HOLD))
        asked = delivered.filter(is_asked).to_pylist()
        told = pa.array(map(made, asked), values.type)
        return pc.call_function("replace_with_mask", [values, is_asked, told])

    udf = F.arrow_udf(token, "string")  # pyright: ignore[reportCallIssue, reportArgumentType]
    return udf(F.col(f"`{name}`"))


# ---- one value, one spelling


def normalised(kind: str, text: str, region: str) -> str:
    """The one spelling of a value that its token is made from; empty for a blank one.

    A phone number that can be one becomes E.164. What cannot is told apart by its text, so that no two of them
    share a token. E-mails are compared without regard to case, accounts as they are.
    """
    trimmed = unicodedata.normalize("NFC", text.strip())
    if kind == "account":
        return trimmed
    folded = unicodedata.normalize("NFC", trimmed.casefold())
    return folded if kind == "email" else e164(folded, region) or folded


@lru_cache(maxsize=REMEMBERED)  # parsing a number takes most of the time, and people are paid more than once
def e164(text: str, region: str) -> str | None:
    """A normalised text as E.164, where it can be a phone number."""
    if any(sign not in "+＋" and unicodedata.category(sign) not in PHONE_CATEGORIES for sign in text):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # Possible, not valid: which numbers are given out changes with every release of the library, lengths hardly do.
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


# ---- the key file


def token_maker(settings: Settings) -> TokenMaker | None:
    """What makes the lake's tokens, or None where no source has personal columns.

    Raises Usage where the key file is missing, open to others or faulty; never with anything that stands in it.
    """
    if not settings.personal_sources:
        return None
    if settings.token_keys is None:
        name = settings.personal_sources[0].name
        raise Usage(f"The source {name} has [personal] columns, and CLM_TOKEN_KEYS does not name a key file. {HOW}")
    key_id, secret = _current_key(Path(settings.token_keys))
    return TokenMaker(key_id, secret, settings.lake.region)


def _current_key(path: Path) -> tuple[str, bytes]:
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "is not there"
            raise Usage(f"The key file {path} that CLM_TOKEN_KEYS names {what}. {HOW}")
        with path.open("rb") as opened:
            _refuse_open_to_others(path, os.fstat(opened.fileno()))
            held = tomllib.load(opened)
    except OSError as error:
        raise Usage(f"The key file {path} cannot be read: {error.strerror}. Let its owner run clm.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise _faulty(path, "it is not TOML") from None
    return _checked(path, held)


def _refuse_open_to_others(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise Usage(f"The key file {path} belongs to another user; who runs clm must own it: chown it, or copy it.")
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o777:o}"
        raise Usage(f"The key file {path} is open to others (mode {mode}): say `chmod 600 {path}`.")


def _checked(path: Path, held: dict[str, Any]) -> tuple[str, bytes]:
    """The current key; every key is looked at, so that an old one is not found wanting years later."""
    keys = held.get("keys")
    if held.keys() != {"current", "keys"} or not isinstance(keys, dict) or not keys:
        raise _faulty(path, "it should hold current and the table [keys], and nothing else")
    for position, (key_id, secret) in enumerate(keys.items(), start=1):
        if not KEY_ID.fullmatch(key_id):
            raise _faulty(path, f"the id of key number {position} should be a whole number from 1 up")
        if not isinstance(secret, str) or not SECRET.fullmatch(secret):
            raise _faulty(path, f"key {key_id} should be at least 64 hex digits in quotes")
    current = str(held["current"])
    if current not in keys:
        raise _faulty(path, "current should be the id of one of [keys]")
    return current, bytes.fromhex(keys[current])


def _faulty(path: Path, why: str) -> Usage:
    return Usage(f"The key file {path} cannot be used: {why}. {HOW}")
