"""What a [map] may say, and that nothing else passes."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from conf import Source
from jobs.errors import Usage
from jobs.expressions import LONGEST, check_condition, check_mapping
from tests.jobs.rows import source_of

ROW_COLUMNS = {
    "order_no": "string",
    "rupees": "decimal(14,2)",
    "state": "string",
    "created": "timestamp",
    "day": "date",
    "paise": "bigint",
}


def rows_source(**expressions: str) -> Source:
    return source_of(columns=ROW_COLUMNS, map=expressions)


def grouped_source(**expressions: str) -> Source:
    return source_of(columns=ROW_COLUMNS, map=expressions, group_by=("order_no",))


@pytest.mark.parametrize(
    "expression",
    [
        "order_no",
        "ORDER_NO",  # Spark does not tell upper from lower case
        "'recharge'",
        "null",
        "-rupees",
        "cast(rupees * 100 as bigint)",
        "case state when 'OK' then 'success' when 'FAIL' then 'failed' else 'pending' end",
        "if(rupees < 0 and state is not null, 'credit', 'debit')",
        "state in ('OK', 'DONE') or state like 'OK%' or not (rupees between 1 and 2)",
        "coalesce(nullif(trim(state), ''), 'OK') || '-' || order_no",
        "timestamp '2026-01-31 10:00:00'",
        "timestamp_millis(cast(order_no as bigint))",
        "regexp_replace(order_no, '^0+', '')",
        "'it happened now'",  # a word in a text reads no clock
    ],
)
def test_values_of_one_row_are_allowed(spark: SparkSession, expression: str) -> None:
    assert "category" in check_mapping(spark, rows_source(category=expression))


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("cast(order_no as bigint)", "TRY_CAST(order_no AS BIGINT)"),
        ("order_no::bigint", "TRY_CAST(order_no AS BIGINT)"),
        ("date(order_no)", "TRY_CAST(order_no AS DATE)"),
        ("to_timestamp(order_no, 'yyyyMMdd')", "try_to_timestamp(order_no, 'yyyyMMdd')"),
        ("rupees / paise", "try_divide(rupees, paise)"),  # by zero
        ("paise * 100 + 1", "try_add(try_multiply(paise, 100), 1)"),  # a number that does not fit
        ("timestamp_millis(paise)", "timestamp_micros(try_multiply(TRY_CAST(paise AS BIGINT), 1000L))"),
        ("'it\\'s 5% of {x}'", "'it\\'s 5% of {x}'"),  # texts stay as they are
    ],
)
def test_what_would_raise_an_error_is_tried(spark: SparkSession, expression: str, given: str) -> None:
    assert check_mapping(spark, rows_source(category=expression))["category"].sql == given


REFUSED = [
    ("(select max(rupees) from raw.app)", "ScalarSubquery is not allowed"),
    ("order_no in (select 1)", "InSubquery is not allowed"),
    ("exists (select 1)", "Exists is not allowed"),
    ("reflect('java.lang.System', 'exit', 0)", "the function reflect() is not allowed"),
    ("java_method('java.util.UUID', 'randomUUID')", "the function java_method() is not allowed"),
    ("input_file_name()", "the function input_file_name() is not allowed"),
    ("rand()", "the function rand() is not allowed"),
    ("uuid()", "the function uuid() is not allowed"),
    ("monotonically_increasing_id()", "the function monotonically_increasing_id() is not allowed"),
    ("current_date", "the source has no column current_date"),
    ("current_timestamp()", "the function current_timestamp() is not allowed"),
    ("now()", "the function now() is not allowed"),
    ("unix_timestamp()", "the function unix_timestamp() is not allowed"),  # without arguments it is a clock
    ("timestamp 'now'", "reads no clock"),
    ("DATE'today'", "reads no clock"),
    ("timestamp_ntz ' Tomorrow'", "reads no clock"),
    ("row_number() over (order by rupees)", "WindowExpression is not allowed"),
    ("x -> x", "LambdaFunction is not allowed"),
    ("transform(array(1), x -> x)", "the function transform() is not allowed"),
    ("my_lake.secret(order_no)", "the function my_lake.secret() is not allowed"),  # no catalog's functions either
    ("order_no rlike '(a+)+'", "RLike is not allowed"),
    ("*", "UnresolvedStar is not allowed"),
    ("order_no.field", "the source has no column order_no.field"),
    (":parameter", "NamedParameter is not allowed"),
    ("rupees -- in paise later", "comments are not allowed"),
    ("rupees /* in paise later */", "comments are not allowed"),
    ("'" + "x" * LONGEST + "'", f"longer than {LONGEST} characters"),
    ("rupees *", "not an expression"),
    ("order_no as id from raw.app", "not an expression"),
    ("ordr_no", "the source has no column ordr_no; did you mean order_no?"),
    ("as_of_date", "the source has no column as_of_date"),  # where a row came from is not the source's to map
    # Spark would cast the text of every row, and stop at the first that is no number.
    ("order_no > 5", "text is taken for a bigint: give the column that type in [columns], or use try_cast"),
    ("coalesce(order_no, 1)", "text is taken for a bigint"),
    ("case order_no when 5 then 'five' end", "text is taken for a bigint"),
    ("upper(rupees, 2)", "[WRONG_NUM_ARGS"),
    ("max(rupees)", "max() needs group_by"),
    ("count(*)", "count() needs group_by"),
]


@pytest.mark.parametrize(("expression", "fault"), REFUSED)
def test_everything_else_is_refused(spark: SparkSession, expression: str, fault: str) -> None:
    with pytest.raises(Usage) as refused:
        check_mapping(spark, rows_source(category=expression))
    assert str(refused.value).startswith("conf/sources/app.toml: [map] category: ")
    assert fault in str(refused.value)


def test_every_fault_is_told_at_once(spark: SparkSession) -> None:
    with pytest.raises(Usage) as refused:
        check_mapping(spark, rows_source(category="rand() + ordr_no", product="'recharge'", rail="state ="))
    told = str(refused.value).splitlines()
    assert [line.split(": ")[1] for line in told] == ["[map] category", "[map] category", "[map] rail"]


@pytest.mark.parametrize(
    "expression",
    ["order_no", "upper(order_no)", "max(state)", "'recharge'", "count_if(rupees > 0)", "concat(max(state), order_no)"],
)
def test_with_group_by_aggregates_and_the_columns_of_the_group_are_allowed(
    spark: SparkSession, expression: str
) -> None:
    assert "category" in check_mapping(spark, grouped_source(category=expression))


def test_text_is_not_mapped_to_what_is_no_text(spark: SparkSession) -> None:
    for column, expression in {"occurred_at": "order_no", "amount_minor": "trim(order_no)"}.items():
        with pytest.raises(Usage, match=rf"\[map\] {column}: text is taken for a (timestamp|bigint)"):
            check_mapping(spark, rows_source(**{column: expression}))
    check_mapping(spark, rows_source(occurred_at="'2026-01-31'", amount_minor="try_cast(order_no as bigint)"))


def test_an_aggregate_counts_what_an_if_inside_lets_through(spark: SparkSession) -> None:
    with pytest.raises(Usage, match="put an if"):
        check_mapping(spark, grouped_source(amount_minor="sum(paise) filter (where paise > 0)"))


@pytest.mark.parametrize(
    "expression",
    [
        "state",
        "upper(state)",
        "concat(max(state), state)",  # one aggregate does not excuse what stands beside it
        "if(max(rupees) > 1, state, null)",
    ],
)
def test_with_group_by_a_column_that_differs_within_the_group_is_refused(spark: SparkSession, expression: str) -> None:
    with pytest.raises(Usage, match="every value is an aggregate"):
        check_mapping(spark, grouped_source(category=expression))


def test_what_depends_on_the_order_of_rows_is_no_aggregate(spark: SparkSession) -> None:
    for expression in ("any_value(state)", "first(state)", "collect_list(state)"):
        with pytest.raises(Usage, match="not allowed"):
            check_mapping(spark, grouped_source(category=expression))


def test_an_expression_tells_what_it_reads(spark: SparkSession) -> None:
    source = rows_source(category="if(RUPEES > 1, state, 'none')", product="'recharge'")
    checked = check_mapping(spark, source)
    assert checked["category"].columns == {"rupees", "state"}  # as declared, whatever their case
    assert checked["product"].columns == frozenset()


@pytest.mark.parametrize(
    ("expression", "unrounded"),
    [
        ("cast(rupees * 100 as bigint)", "try_multiply(rupees, 100)"),
        ("CAST( round(rupees) AS LONG )", "round(rupees)"),
        ("rupees", "rupees"),
        # two casts are not one around everything
        (
            "cast(rupees as bigint) + cast(paise as bigint)",
            "try_add(TRY_CAST(rupees AS BIGINT), TRY_CAST(paise AS BIGINT))",
        ),
    ],
)
def test_an_amount_is_known_before_it_is_rounded(spark: SparkSession, expression: str, unrounded: str) -> None:
    assert check_mapping(spark, rows_source(amount_minor=expression))["amount_minor"].unrounded == unrounded


# ---- the examples of the specification

RECHARGES = source_of(
    "recharges",
    columns={
        "order_no": "string",
        "user_id": "string",
        "created": "timestamp",
        "changed": "timestamp",
        "rupees": "decimal(14,2)",
        "state": "string",
        "operator": "string",
        "payee_phone": "string",
    },
    map={
        "transaction_id": "order_no",
        "customer_id": "user_id",
        "occurred_at": "created",
        "updated_at": "changed",
        "product": "'recharge'",
        "category": "'mobile'",
        "direction": "'debit'",
        "status": "case state when 'OK' then 'success' when 'FAIL' then 'failed' else 'pending' end",
        "amount_minor": "cast(rupees * 100 as bigint)",
        "currency": "'INR'",
        "biller_id": "operator",
        "counterparty_token": "payee_phone",
    },
)
CDNOW = source_of(
    "cdnow",
    columns={"customer": "string", "day": "date yyyyMMdd", "units": "int", "dollars": "decimal(10,2)"},
    map={
        "customer_id": "customer",
        "occurred_at": "day",
        "product": "'marketplace_order'",
        "direction": "'debit'",
        "status": "'success'",
        "amount_minor": "cast(dollars * 100 as bigint)",
        "currency": "'USD'",
    },
)
RETURNED = "max(InvoiceNo) like 'C%'"
ONLINE_RETAIL = source_of(
    "online_retail",
    group_by=("InvoiceNo",),
    columns={
        "InvoiceNo": "string",
        "Quantity": "bigint",
        "InvoiceDate": "timestamp",
        "UnitPrice": "double",
        "CustomerID": "double",
    },
    map={
        "transaction_id": "InvoiceNo",
        "customer_id": "cast(cast(max(CustomerID) as bigint) as string)",
        "occurred_at": "min(InvoiceDate)",
        "updated_at": "max(InvoiceDate)",
        "product": "'marketplace_order'",
        "direction": f"case when {RETURNED} then 'credit' else 'debit' end",
        "status": f"case when {RETURNED} then 'reversed' else 'success' end",
        "amount_minor": "cast(round(100 * abs(sum(cast(UnitPrice as decimal(18,4)) * Quantity))) as bigint)",
        "currency": "'GBP'",
    },
)


@pytest.mark.parametrize("source", [RECHARGES, CDNOW, ONLINE_RETAIL], ids=lambda source: source.name)
def test_the_examples_of_the_specification_pass(spark: SparkSession, source: Source) -> None:
    assert check_mapping(spark, source).keys() == source.map.keys()


# ---- conditions of the command line


def test_a_condition_asks_about_the_columns_that_are_there(spark: SparkSession) -> None:
    check_condition(spark, "status = 'success' and amount_minor >= 10000", ["status", "amount_minor"])


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("statu = 'success'", "there is no column statu; did you mean status?"),
        ("phone = 'x'", "phone is masked"),
        ("status in (select 1)", "InSubquery is not allowed"),
        ("rand() < 0.5", "the function rand() is not allowed"),
        ("max(status) = 'x'", "the function max() is not allowed"),
        ("status = 'x'; drop table t", "no semicolons"),
        ("status =", "not a condition"),
    ],
)
def test_a_condition_is_held_to_the_same_list(spark: SparkSession, condition: str, fault: str) -> None:
    with pytest.raises(Usage) as refused:
        check_condition(spark, condition, ["status", "phone"], masked=["phone"])
    assert fault in str(refused.value)
