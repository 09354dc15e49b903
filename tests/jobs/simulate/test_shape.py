"""The super-app has the shape of a real Indian payments app, within a tenth of the figures quoted.

PhonePe Pulse (PhonePe, CDLA-Permissive-2.0), all India. Products and tickets: 2018, all quarters. App opens and
payments per registered user: 2022 Q1, 15,724 million opens and 7,593 million payments of 373.0 million registered users
in 90 days. Brands: 2021 Q4.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from jobs.simulate.devices import BRANDS
from jobs.simulate.plan import Mess, Simulation
from jobs.simulate.run import simulate_deliveries

# Half a million visits: minutes on two cores.
pytestmark = pytest.mark.slow

FIRST = date(2026, 1, 1)
DAYS = 90
CUSTOMERS = 6000

OPENS_PER_USER_AND_DAY = 15_724.2 / 372.952 / 90
PAYMENTS_PER_USER_AND_DAY = 7_593.2 / 372.952 / 90


@pytest.fixture(scope="module")
def app(compiled: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    out: Path = tmp_path_factory.mktemp("shape")
    feeds = ("customers", "transactions", "app_events", "devices")
    last = FIRST + timedelta(days=DAYS - 1)
    simulate_deliveries(compiled, Simulation(CUSTOMERS, FIRST, last, 4, out, feeds=feeds, mess=Mess.none()))
    with duckdb.connect() as db:
        db.execute(
            f"""create table paid as select case when product = 'p2p_transfer' then 'p2p'
                when product in ('recharge', 'bill_payment') then 'recharge_and_bills'
                when product = 'p2m_payment' then 'merchant' else 'others' end as kind, rupees::double as rupees
            from read_csv('{out}/payments/*/*.csv.gz', all_varchar = true) where flow = 'debit'"""
        )
        db.execute(
            f"""create table opens as select count(*) as n from read_json('{out}/app_events/*/*.jsonl.gz',
                columns = {{event: 'varchar'}}) where event = 'app_open'"""
        )
        db.execute(f"create table devices as select distinct device, brand from '{out}/devices/*/*.parquet'")
        db.execute(
            f"""create table registered as select count(distinct user_id) as n from
                read_json('{out}/customers/*/*.jsonl.gz', columns = {{user_id: 'varchar'}})"""
        )
        yield db


def _number(db: duckdb.DuckDBPyConnection, query: str) -> float:
    row = db.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(("kind", "share"), [("p2p", 0.485), ("recharge_and_bills", 0.369), ("merchant", 0.104)])
def test_shares_of_products(app: duckdb.DuckDBPyConnection, kind: str, share: float) -> None:
    found = _number(app, f"select avg((kind = '{kind}')::int) from paid")
    assert found == pytest.approx(share, rel=0.10)


@pytest.mark.parametrize(("kind", "rupees"), [("p2p", 2736), ("recharge_and_bills", 275), ("merchant", 503)])
def test_mean_tickets(app: duckdb.DuckDBPyConnection, kind: str, rupees: float) -> None:
    assert _number(app, f"select avg(rupees) from paid where kind = '{kind}'") == pytest.approx(rupees, rel=0.10)


def test_app_opens_and_payments_of_a_registered_user(app: duckdb.DuckDBPyConnection) -> None:
    per_user = f"(select n from registered) * {DAYS}"
    assert _number(app, f"select n / ({per_user}) from opens") == pytest.approx(OPENS_PER_USER_AND_DAY, rel=0.10)
    assert _number(app, f"select count(*) / ({per_user}) from paid") == pytest.approx(
        PAYMENTS_PER_USER_AND_DAY, rel=0.10
    )


def test_shares_of_brands(app: duckdb.DuckDBPyConnection) -> None:
    found = dict(
        app.execute("select brand, count(*) / (select count(*) from devices) from devices group by brand").fetchall()
    )
    for brand, share in BRANDS.items():
        # Rare brands are a matter of chance among so few devices.
        assert found[brand] == pytest.approx(share, rel=0.10, abs=0.006), brand
