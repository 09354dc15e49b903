"""Every way a configuration can be wrong, and the sentence that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import conf
from conf.errors import hint
from schemas.raw import PROVENANCE

SHIPPED = (Path(__file__).parents[2] / "conf/sources/payments.toml").read_text(encoding="utf-8")
# Without its [personal], which some tests are about.
PAYMENTS = SHIPPED.replace('\n[personal]\npayee = "phone"\n', "")
PARQUET = PAYMENTS.replace('"csv"', '"parquet"')


def faults(folder: Path, files: dict[str, str], **environ: str) -> list[str]:
    """What is said of `files` as CLM_CONF, one sentence each, with paths from the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with pytest.raises(conf.ConfError) as caught:
        conf.load(environ={"CLM_CONF": str(folder), **environ})
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), start=1) if line.startswith(start))


# (what is replaced, by what, the start of the line blamed, the sentence)
SOURCE_FAULTS = [
    ("late_days = 7", "lat_days = 7", "lat_days", "lat_days: unknown key; did you mean late_days?"),
    ("[limits]", "[limit]", "[limit]", "limit: unknown key; did you mean limits?"),
    ("max_quar", "max_qar", "max_qar", "limits.max_qarantined: unknown key; did you mean max_quarantined?"),
    (
        "manifest = ",
        "delimitr = ','\nmanifest = ",
        "delimitr",
        "files.delimitr: unknown key; did you mean delimiter?",
    ),
    (
        'feed  = "transactions"',
        'feed  = "transaction"',
        "feed",
        "feed: 'transaction' is no feed; did you mean transactions?",
    ),
    ('feed  = "transactions"', "location = 'x'\nfeed  = \"transactions\"", "location", "location: unknown key"),
    (
        'category = "category"',
        'categry = "category"',
        "categry",
        "map.categry: is not a column of feed transactions; did you mean category?",
    ),
    ("currency = \"'INR'\"\n", "", "[map]", "map.currency: is missing; a row of feed transactions must have it"),
    (
        '"cast(rupees * 100 as bigint)"',
        '""',
        "amount_minor",
        "map.amount_minor: should have at least 1 character, not ''",
    ),
    (
        '"payments"',
        '"Payments"',
        "name",
        "name: 'Payments' should be lower_snake: letters, digits and _, a letter first",
    ),
    ('"payments-team"', '""', "owner", "owner: should have at least 1 character, not ''"),
    ("required  = true", 'required  = "yes"', "required", "required: should be a valid boolean, not 'yes'"),
    ("late_days = 7", 'late_days = "7"', "late_days", "late_days: should be a valid integer, not '7'"),
    ("late_days = 7", "late_days = -1", "late_days", "late_days: should be greater than or equal to 0, not -1"),
    ("late_days = 7", 'cadence = "hourly"', "cadence", "cadence: should be 'daily' or 'continuous', not 'hourly'"),
    (
        "late_days = 7",
        'group_by = ["payment"]',
        "group_by",
        "group_by: 'payment' is not in [columns]; did you mean payment_id?",
    ),
    ("late_days = 7", 'group_by = "payment_id"', "group_by", "group_by: should be an array, not 'payment_id'"),
    ('"csv"', '"tsv"', "format", "files.format: should be 'csv', 'jsonl' or 'parquet', not 'tsv'"),
    ("given", "made", "manifest", "files.manifest: should be 'given' or 'computed', not 'made'"),
    (
        "Asia/Kolkata",
        "Asia/Kolkatta",
        "zone",
        "files.zone: 'Asia/Kolkatta' is no time zone; did you mean Asia/Kolkata?",
    ),
    (
        "payments/{date}/",
        "/payments/{date}/",
        "path",
        "files.path: '/payments/{date}/*.csv.gz' should be relative to the landing folder and stay below it",
    ),
    (
        "payments/{date}/",
        "a/../../{date}/",
        "path",
        "files.path: 'a/../../{date}/*.csv.gz' should be relative to the landing folder and stay below it",
    ),
    (
        "payments/{date}/",
        "s3a://b/{date}/",
        "path",
        "files.path: 's3a://b/{date}/*.csv.gz' should be relative to the landing folder and stay below it",
    ),
    ("payments/{date}/", "{date}/{date}/", "path", "files.path: '{date}/{date}/*.csv.gz' has {date} more than once"),
    (
        "payments/{date}/",
        "payments/{day}/",
        "path",
        "files.path: 'payments/{day}/*.csv.gz' has {day}; the one thing filled in is {date}",
    ),
    (
        "[columns]",
        "delimiter = '||'\n[columns]",
        "delimiter",
        "files.delimiter: '||' should be one character, or whitespace for runs of blanks and tabs",
    ),
    (
        "[columns]",
        "quote = '<>'\n[columns]",
        "quote",
        "files.quote: '<>' should be one character, or empty where nothing is quoted",
    ),
    (
        "[columns]",
        "encoding = 'cp1252'\n[columns]",
        "encoding",
        "files.encoding: should be 'utf-8', 'us-ascii', 'iso-8859-1', 'utf-16', 'utf-16be', 'utf-16le' or 'utf-32', "
        "not 'cp1252'",
    ),
    (
        'rupees = "decimal(14,2)"',
        'rupees = "money"',
        "rupees",
        "columns.rupees: 'money' is no type; types are string, boolean, int, bigint, double, date, timestamp, "
        "timestamp_ns, decimal(p,s), date <pattern>, timestamp <pattern>",
    ),
    (
        'created = "timestamp"',
        'created = "timestamp YYYY-MM-dd"',
        "created",
        "columns.created: the pattern 'YYYY-MM-dd' has Y, which Spark does not know (year is yyyy)",
    ),
    ('created = "timestamp"', "created = 1", "created", "columns.created: should be a type in quotes"),
    (
        'created = "timestamp"',
        'created = "timestamp_ns"',
        "created",
        "columns.created: timestamp_ns is for parquet; text has timestamp, with a pattern if need be",
    ),
    (
        'refund_of = "string"',
        'refund_of = "string"\n"refund of" = "string"',
        '"refund of"',
        "columns.refund of: should be letters, digits and _, beginning with a letter or _",
    ),
    (
        "max_quarantined = 0.05",
        "max_quarantined = 1.5",
        "max_quarantined",
        "limits.max_quarantined: should be less than or equal to 1, not 1.5",
    ),
    (
        "max_quarantined = 0.05",
        "max_quarantined = -0.1",
        "max_quarantined",
        "limits.max_quarantined: should be greater than or equal to 0, not -0.1",
    ),
    (
        "max_quarantined = 0.05",
        "zero_amounts = 'keep'",
        "zero_amounts",
        "limits.zero_amounts: should be 'quarantine' or 'accept', not 'keep'",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "blamed", "sentence"), SOURCE_FAULTS, ids=[case[3][:60] for case in SOURCE_FAULTS]
)
def test_a_fault_of_a_source(tmp_path: Path, old: str, new: str, blamed: str, sentence: str) -> None:
    assert old in PAYMENTS
    text = PAYMENTS.replace(old, new, 1)
    found = faults(tmp_path, {"sources/p.toml": text})
    assert found == [f"sources/p.toml:{line_of(text, blamed)}: {sentence}"]


@pytest.mark.parametrize("name", ["as_of_date", "File", *(column.name for column in PROVENANCE)])
def test_names_that_the_lake_uses(tmp_path: Path, name: str) -> None:
    text = PAYMENTS.replace('refund_of = "string"', f'refund_of = "string"\n{name} = "string"')
    (found,) = faults(tmp_path, {"sources/p.toml": text})
    assert f"columns.{name}: is a name the lake uses" in found


def test_columns_that_spark_cannot_tell_apart(tmp_path: Path) -> None:
    text = PAYMENTS.replace('refund_of = "string"', 'refund_of = "string"\nREFUND_OF = "string"')
    found = faults(tmp_path, {"sources/p.toml": text})
    assert [fault.split(": ", 1)[1] for fault in found] == [
        "columns.refund_of: is declared twice; Spark does not tell upper from lower case",
        "columns.REFUND_OF: is declared twice; Spark does not tell upper from lower case",
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [("header", "false"), ("delimiter", '";"'), ("quote", '"|"'), ("encoding", '"utf-8"'), ("null", '"-"')],
)
@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_csv_options_are_for_csv(tmp_path: Path, option: str, value: str, format_: str) -> None:
    text = PAYMENTS.replace('"csv"', f'"{format_}"\n{option} = {value}')
    (found,) = faults(tmp_path, {"sources/p.toml": text})
    assert found.endswith(f"files.{option}: is for csv, and format is {format_}")


def test_nanoseconds_are_for_parquet(tmp_path: Path) -> None:
    text = PARQUET.replace('created = "timestamp"', 'created = "timestamp_ns"')
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/p.toml").write_text(text, encoding="utf-8")
    source = conf.load(environ={"CLM_CONF": str(tmp_path)}).source("payments")
    assert source.raw_types()["created"] == "bigint"


def test_a_row_can_carry_63_reasons(tmp_path: Path) -> None:
    def with_casts(count: int) -> str:
        # payments has 4 columns that are not string.
        more = "".join(f'c{number} = "int"\n' for number in range(count - 4))
        return PAYMENTS.replace("[columns]\n", "[columns]\n" + more)

    (found,) = faults(tmp_path, {"sources/p.toml": with_casts(38)})
    assert "columns: 38 columns are not string, and there is room for 37; declare the rest string" in found
    (tmp_path / "sources/p.toml").write_text(with_casts(37), encoding="utf-8")
    assert len(conf.load(environ={"CLM_CONF": str(tmp_path)}).source("payments").columns) == 16 + 33


def test_personal_columns_are_declared_text_of_a_known_kind(tmp_path: Path) -> None:
    text = PAYMENTS + '\n[personal]\nuser_id = "account"\nusr_id = "phone"\nbiller = "fax"\ncreated = "email"\n'
    found = faults(tmp_path, {"sources/p.toml": text})
    assert [fault.split(": ", 1)[1] for fault in found] == [
        "personal.usr_id: is not in [columns]; did you mean user_id?",
        "personal.created: created is timestamp in [columns], and tokens are made from text: declare it string",
        "personal.biller: should be 'phone', 'email', 'contact', 'account' or 'text', not 'fax'",
    ]


def test_an_empty_personal_table_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/p.toml").write_text(PAYMENTS + "\n[personal]\n", encoding="utf-8")
    assert conf.load(environ={"CLM_CONF": str(tmp_path)}).source("payments").personal == {}


@pytest.mark.parametrize("table", ["files", "columns", "map"])
def test_a_table_that_is_missing(tmp_path: Path, table: str) -> None:
    before, _, after = PAYMENTS.partition(f"[{table}]\n")
    text = before + "\n[" + after.partition("\n[")[2]
    assert faults(tmp_path, {"sources/p.toml": text}) == [f"sources/p.toml:1: {table}: is missing"]


@pytest.mark.parametrize("table", ["columns", "limits", "files"])
def test_a_table_that_is_none(tmp_path: Path, table: str) -> None:
    before, _, after = PAYMENTS.partition(f"[{table}]\n")
    text = f"{table} = 3\n" + before + "\n[" + (after.partition("\n[")[2] or "limits]\n".replace("limits", "x"))
    assert f"sources/p.toml:1: {table}: should be a table" in faults(tmp_path, {"sources/p.toml": text})


def test_no_columns(tmp_path: Path) -> None:
    before, _, after = PAYMENTS.partition("[columns]\n")
    text = before + "[columns]\n\n[" + after.partition("\n[")[2]
    assert faults(tmp_path, {"sources/p.toml": text}) == [
        f"sources/p.toml:{line_of(text, '[columns]')}: columns: should name at least one column"
    ]


def test_two_files_with_one_name(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, {"sources/a.toml": PAYMENTS, "sources/b.toml": "\n" + PAYMENTS})
    assert found == "sources/b.toml:2: name: 'payments' is also the name in sources/a.toml; names are unique"


# (files, the sentences)
FOLDER_FAULTS = {
    "syntax": ({"base.toml": "[lake]\nzone = \n"}, ["base.toml:2: not TOML: Invalid value (at line 2, column 8)"]),
    "unknown table": ({"base.toml": "\n[lak]\n"}, ["base.toml:2: lak: unknown key; did you mean lake?"]),
    "unknown key": ({"base.toml": "[lake]\nzon = 'UTC'\n"}, ["base.toml:2: lake.zon: unknown key; did you mean zone?"]),
    "table that is none": ({"base.toml": "lake = 1\n"}, ["base.toml:1: lake: should be a table"]),
    "zone": (
        {"base.toml": "[lake]\nzone = 'Asia/Calcuta'\n"},
        ["base.toml:2: lake.zone: 'Asia/Calcuta' is no time zone; did you mean Asia/Calcutta?"],
    ),
    "zone that is a folder": (
        {"base.toml": "[lake]\nzone = 'Asia'\n"},
        ["base.toml:2: lake.zone: 'Asia' is no time zone"],
    ),
    "currency": (
        {"base.toml": "[lake]\ncurrency = 'inr'\n"},
        ["base.toml:2: lake.currency: 'inr' should be three capital letters (ISO 4217)"],
    ),
    "region": (
        {"base.toml": "[lake]\nregion = 'IND'\n"},
        [
            "base.toml:2: lake.region: 'IND' should be a country whose phone numbers are known, "
            "in two capital letters (ISO 3166)"
        ],
    ),
    "close_after below late_days": (
        {"base.toml": "[lake]\nclose_after = 5\n"},
        [
            "base.toml:2: lake.close_after: 5 is less than late_days of payments (7); "
            "a window may not close before its rows are in"
        ],
    ),
    "close_after above the mask": (
        {"base.toml": "[lake]\nclose_after = 40\n"},
        ["base.toml:2: lake.close_after: should be less than or equal to 39, not 40"],
    ),
    "packaged": (
        {"base.toml": "[conf]\npackaged = { source = false }\n"},
        ["base.toml:2: conf.packaged.source: unknown key; did you mean sources?"],
    ),
    "spark conf without quotes": (
        {"base.toml": "[spark.conf]\nspark.sql.ansi.enabled = 'true'\n"},
        ['base.toml:1: spark.conf: spark is a table; write names in quotes: "spark.sql.ansi.enabled" = "true"'],
    ),
    "partitions": (
        {"local.toml": "[spark]\nshuffle_partitions = 0\n"},
        ["local.toml:2: spark.shuffle_partitions: should be greater than or equal to 1, not 0"],
    ),
    "band": (
        {"base.toml": "[quality]\nvolume_band = [3, 0.3]\n"},
        ["base.toml:2: quality.volume_band: the lower bound 3.0 is above the upper 0.3"],
    ),
    "history": (
        {"base.toml": "[quality]\nvolume_min_weeks = 9\n"},
        ["base.toml:1: quality: volume_min_weeks is more than volume_history_weeks, so nothing would ever be said"],
    ),
    "severity": (
        {"base.toml": "[quality]\nvolume_severity = 'error'\n"},
        ["base.toml:2: quality.volume_severity: should be 'warn' or 'fail', not 'error'"],
    ),
    "cohorts: unknown key": (
        {"cohorts.toml": "brackets = [[1, 2]]\n"},
        ["cohorts.toml:1: brackets: unknown key; did you mean bracket?"],
    ),
    "cohorts: backwards": (
        {"cohorts.toml": "bracket = [[1, 29], [59, 30]]\n"},
        ["cohorts.toml:1: bracket: [59, 30] ends before it begins"],
    ),
    "cohorts: no window": (
        {"cohorts.toml": "bracket = [[1, 29, 30]]\n"},
        ["cohorts.toml:1: bracket: should have at most 2 items after validation, not 3"],
    ),
    "cohorts: negative": (
        {"cohorts.toml": "n_day = [1, -1]\n"},
        ["cohorts.toml:1: n_day: should be greater than or equal to 0, not -1"],
    ),
    "cohorts: slice": (
        {"cohorts.toml": "slices = ['brand']\n"},
        ["cohorts.toml:1: slices: should be 'first_product', not 'brand'"],
    ),
    "backfill: key": (
        {"backfills.toml": "[[backfill]]\nfrm = 2026-01-05\nto = 2026-01-05\nreason = 'r'\nasked_by = 'a'\n"},
        [
            "backfills.toml:1: backfill.from: is missing",
            "backfills.toml:2: backfill.frm: unknown key; did you mean from?",
        ],
    ),
    "backfill: no reason": (
        {"backfills.toml": "[[backfill]]\nfrom = 2026-01-05\nto = 2026-01-05\nreason = ' '\nasked_by = 'a'\n"},
        ["backfills.toml:4: backfill.reason: should have at least 1 character, not ' '"],
    ),
    "backfill: backwards": (
        {"backfills.toml": "[[backfill]]\nfrom = 2026-01-06\nto = 2026-01-05\nreason = 'r'\nasked_by = 'a'\n"},
        ["backfills.toml:1: backfill: from 2026-01-06 is after to 2026-01-05"],
    ),
    "backfill: table": (
        {"backfills.toml": "[backfill]\n"},
        ["backfills.toml:1: backfill: should be [[backfill]], one for each entry"],
    ),
    "name of a file": (
        {"cohort.toml": "n_day = [1]\n"},
        ["cohort.toml: nothing reads a file or folder of this name; did you mean cohorts.toml?"],
    ),
    "name of a file without ending": (
        {"base.tml": ""},
        ["base.tml: nothing reads a file or folder of this name; did you mean base.toml?"],
    ),
    "name of a folder": (
        {"source/x.toml": PAYMENTS},
        ["source: nothing reads a file or folder of this name; did you mean sources?"],
    ),
    "name of a source's file": ({"sources/x.tml": PAYMENTS}, ["sources/x.tml: should be a .toml file"]),
}


@pytest.mark.parametrize("case", FOLDER_FAULTS)
def test_a_fault_of_a_folder(tmp_path: Path, case: str) -> None:
    files, sentences = FOLDER_FAULTS[case]
    found = faults(tmp_path, files)
    if case == "zone that is a folder":  # the nearest zone to it is anybody's guess
        found = [fault.partition(";")[0] for fault in found]
    assert found == sentences


@pytest.mark.parametrize(("key", "last"), [("bracket", 97), ("unbounded", 97)])
def test_a_window_must_fit_the_mask(tmp_path: Path, key: str, last: int) -> None:
    # close_after 7 + 90 + 31 = 128 is the widest.
    (found,) = faults(tmp_path, {"cohorts.toml": f"{key} = [[6, {last}]]\n"})
    message = "[6, 97] is too wide: close_after (7) + last - first + 31 may be 128 at most"
    assert found == f"cohorts.toml:1: {key}: {message}"
    (tmp_path / "cohorts.toml").write_text(f"{key} = [[7, {last}]]\n", encoding="utf-8")
    assert getattr(conf.load(environ={"CLM_CONF": str(tmp_path)}).cohorts, key) == ((7, last),)


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_bytes("# caf\u00e9".encode("latin-1"))
    assert faults(tmp_path, {}) == ["base.toml: is not UTF-8"]


def test_an_environment_nobody_wrote(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, {"staging.toml": "[lake]\n"}, CLM_ENV="stagin")
    assert found == f"CLM_ENV: there is no environment 'stagin' in conf or {tmp_path}; did you mean staging?"


@pytest.mark.parametrize("env", ["base", "cohorts", "../conf/local"])
def test_a_file_that_is_no_environment(env: str) -> None:
    with pytest.raises(conf.ConfError, match=r"CLM_ENV: there is no environment .* in conf"):
        conf.load(env, {})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(conf.ConfError, match=r"CLM_CONF: .*gone is no folder; name one, or unset CLM_CONF"):
        conf.load(environ={"CLM_CONF": str(tmp_path / "gone")})


def test_a_lake_on_an_object_store_needs_a_ledger_elsewhere() -> None:
    with pytest.raises(conf.ConfError, match="CLM_LEDGER_URL: is needed, because a ledger cannot lie on s3a://b/lake"):
        conf.load(environ={"CLM_LAKE": "s3a://b/lake"})


def test_every_fault_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        {
            "base.toml": "[lake]\nzone = 'x'\nclose_aftr = 7\n[quality]\nvolume_weeks = 1\n",
            "cohorts.toml": "n_days = [1]\n",
            "cap.toml": "[x]\n",
            "sources/a.toml": PAYMENTS.replace("late_days", "late_day")
            .replace("rail =", "rial =")
            .replace("0.05", "5.0"),
            "sources/b.toml": "name = ",
        },
    )
    assert {fault.split(": ")[0] for fault in found} == {
        "base.toml:2",
        "base.toml:3",
        "base.toml:5",
        "cap.toml",
        "cohorts.toml:1",
        f"sources/a.toml:{line_of(PAYMENTS, 'late_days')}",
        f"sources/a.toml:{line_of(PAYMENTS, 'rail')}",
        f"sources/a.toml:{line_of(PAYMENTS, 'max_quarantined')}",
        "sources/b.toml:1",
    }


def test_a_hint_names_the_nearest_or_all() -> None:
    assert hint("Late_Day", ["late_days", "owner"]) == "; did you mean late_days?"
    assert hint("zzz", ["late_days", "owner"]) == "; valid are late_days, owner"
    assert hint("zzz", []) == ""
