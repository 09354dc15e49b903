from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

import conf
from tests.conf.conftest import Write

ROOT = Path(__file__).parents[2]
SHIPPED = [
    *("app_events", "bills", "campaign_feedback", "consents", "contacts", "customers", "devices", "payments"),
]
PAYMENTS = (ROOT / "conf/sources/payments.toml").read_text(encoding="utf-8")


def test_what_is_shipped() -> None:
    settings = conf.load(environ={})
    assert settings.env == "local"
    assert settings.lake.model_dump(exclude={"root"}) == {
        "zone": "Asia/Kolkata",
        "currency": "INR",
        "region": "IN",
        "restricted": f"{settings.lake.root}/restricted",
        "close_after": 7,
    }
    assert settings.lake.root == str(Path("lake").resolve())
    assert settings.landing == str(Path("landing").resolve())
    assert settings.ledger_url == f"sqlite:///{settings.lake.root}/ledger.db"
    assert settings.quality.model_dump() == {
        "volume_band": (0.3, 3.0),
        "volume_history_weeks": 8,
        "volume_min_weeks": 3,
        "volume_severity": "warn",
    }
    assert settings.cohorts.model_dump() == {
        "n_day": (1, 3, 7, 14, 30, 60, 90),
        "bracket": ((1, 29), (30, 59), (60, 89), (90, 119)),
        "unbounded": ((30, 119),),
        "calendar_month": 12,
        "slices": ("first_product",),
    }
    assert settings.spark.master == "local[*]"
    assert [source.name for source in settings.sources] == SHIPPED
    assert settings.backfills == ()


def test_prod_leaves_the_master_to_spark_submit() -> None:
    assert conf.load("prod", {}).spark.master == ""
    assert conf.load(environ={"CLM_ENV": "prod"}).env == "prod"
    assert conf.load("local", {"CLM_ENV": "prod"}).env == "local"  # the argument wins


def test_places_come_from_the_environment(tmp_path: Path) -> None:
    settings = conf.load(
        environ={
            "CLM_LAKE": "s3a://bucket/lake",
            "CLM_LANDING": f"file://{tmp_path}/in",
            "CLM_LEDGER_URL": "postgresql+psycopg://clm:secret@db/clm",
            "CLM_TOKEN_KEYS": f"{tmp_path}/keys.toml",
        }
    )
    assert settings.lake.root == "s3a://bucket/lake"
    assert settings.landing == f"{tmp_path}/in"
    assert settings.ledger_url == "postgresql+psycopg://clm:secret@db/clm"
    assert settings.token_keys == f"{tmp_path}/keys.toml"
    assert "secret" not in repr(settings)


def test_empty_variables_are_unset() -> None:
    names = ("CLM_LAKE", "CLM_LANDING", "CLM_CONF", "CLM_ENV", "CLM_LEDGER_URL", "CLM_TOKEN_KEYS")
    empty: dict[str, str] = dict.fromkeys(names, "")
    assert conf.load(environ=empty) == conf.load(environ={})


def test_settings_do_not_change() -> None:
    settings = conf.load(environ={})
    with pytest.raises(ValidationError, match="frozen"):
        settings.lake.zone = "UTC"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_source_by_name_and_by_feed() -> None:
    settings = conf.load(environ={})
    assert settings.source("payments").feed == "transactions"
    assert settings.sources_of("transactions") == (settings.source("payments"),)
    assert settings.sources_of("letters") == ()
    with pytest.raises(conf.ConfError, match=r"no source 'paymnts'; did you mean payments\?"):
        settings.source("paymnts")


def test_a_lake_of_ones_own(overlay: Write) -> None:
    settings = conf.load(
        environ=overlay(
            {
                "base.toml": '[lake]\nzone = "America/New_York"\ncurrency = "USD"\nclose_after = 0\n'
                "[conf]\npackaged = { sources = false, segments = false, triggers = false }\n",
                "cohorts.toml": "n_day = [1]\n",
            }
        )
    )
    assert (settings.lake.zone, settings.lake.currency, settings.lake.close_after) == ("America/New_York", "USD", 0)
    assert settings.sources == ()
    assert settings.cohorts.n_day == (1,)  # a key given wins whole
    assert settings.cohorts.calendar_month == 12  # the others stay
    assert settings.quality == conf.load(environ={}).quality


def test_the_file_of_the_environment_lies_over_base_and_ones_own_over_what_is_shipped(overlay: Write) -> None:
    environ = overlay(
        {
            "base.toml": "[spark]\nshuffle_partitions = 3\n",  # over the packaged local.toml too
            "staging.toml": '[spark]\ndriver_memory = "2g"\n[spark.conf]\n"spark.x" = "1"\n[lake]\ncurrency = "EUR"\n',
        }
    )
    assert conf.load(environ=environ).spark.shuffle_partitions == 3
    assert conf.load(environ=environ).spark.driver_memory == "4g"
    staging = conf.load("staging", environ)
    assert staging.spark.model_dump() == {
        "master": "",
        "driver_memory": "2g",
        "shuffle_partitions": 3,
        "tables_at_once": 2,
        "conf": {"spark.x": "1"},
    }
    assert staging.lake.currency == "EUR"
    assert conf.load("prod", environ).lake.currency == "INR"


def test_the_root_may_stand_in_a_file_and_the_environment_wins(overlay: Write, tmp_path: Path) -> None:
    environ = overlay({"base.toml": f'[lake]\nroot = "{tmp_path}/a"\n'})
    assert conf.load(environ=environ).lake.root == f"{tmp_path}/a"
    assert conf.load(environ={**environ, "CLM_LAKE": f"{tmp_path}/b"}).lake.root == f"{tmp_path}/b"


def test_a_source_of_the_same_name_replaces_the_packaged_one_whole(overlay: Write) -> None:
    without_rail = PAYMENTS.replace('rail = "method"\n', "").replace("late_days = 7\n", "late_days = 1\n")
    settings = conf.load(environ=overlay({"sources/mine.toml": without_rail}))
    assert [source.name for source in settings.sources] == SHIPPED
    assert "rail" not in settings.source("payments").map
    assert settings.source("payments").late_days == 1
    assert settings.source("payments").location.endswith("own/sources/mine.toml")


def test_sources_are_in_name_order_whatever_their_files_are_called(overlay: Write) -> None:
    added = PAYMENTS.replace('"payments"', '"zz_last"', 1), PAYMENTS.replace('"payments"', '"aa_first"', 1)
    settings = conf.load(environ=overlay({"sources/1.toml": added[0], "sources/2.toml": added[1]}))
    assert [source.name for source in settings.sources] == ["aa_first", *SHIPPED, "zz_last"]


def test_other_environments_and_notes_are_ignored(overlay: Write) -> None:
    files: dict[str, str] = dict.fromkeys(("README.md", ".git/config", "sources/.keep", "staging.toml"), "[lake]\n")
    assert conf.load(environ=overlay(files)).sources == conf.load(environ={}).sources


def test_the_ledger_of_backfills(overlay: Write) -> None:
    text = (
        "[[backfill]]\nfrom = 2026-01-05\nto = 2026-01-09\n"
        'reason = "rupees delivered as paise"\nasked_by = "payments-team"\n'
    )
    (backfill,) = conf.load(environ=overlay({"backfills.toml": text})).backfills
    assert (backfill.from_date, backfill.to_date) == (date(2026, 1, 5), date(2026, 1, 9))
    assert (backfill.reason, backfill.asked_by) == ("rupees delivered as paise", "payments-team")


SAME_RESULTS = {
    "places": ({}, {"CLM_LAKE": "/elsewhere", "CLM_LANDING": "/in", "CLM_LEDGER_URL": "sqlite://"}),
    "keys": ({}, {"CLM_TOKEN_KEYS": "/keys.toml"}),
    "environment": ({}, {"CLM_ENV": "prod"}),
    "spark": ({"base.toml": "[spark]\nshuffle_partitions = 3\n"}, {}),
    "file of the source": ({"sources/other.toml": PAYMENTS}, {}),
    "owner of the source": ({"sources/payments.toml": PAYMENTS.replace("payments-team", "another-team")}, {}),
}
OTHER_RESULTS = {
    "zone": {"base.toml": '[lake]\nzone = "UTC"\n'},
    "currency": {"base.toml": '[lake]\ncurrency = "USD"\n'},
    "region": {"base.toml": '[lake]\nregion = "GB"\n'},
    "close_after": {"base.toml": "[lake]\nclose_after = 8\n"},
    "quality": {"base.toml": '[quality]\nvolume_severity = "fail"\n'},
    "cohorts": {"cohorts.toml": "n_day = [1]\n"},
    "map": {"sources/payments.toml": PAYMENTS.replace('category = "category"', "category = \"'mobile'\"")},
    "limits": {"sources/payments.toml": PAYMENTS.replace("0.05", "0.06")},
    "order of columns": {
        "sources/payments.toml": PAYMENTS.replace(
            'payment_id = "string"\nuser_id = "string"', 'user_id = "string"\npayment_id = "string"'
        )
    },
}


@pytest.mark.parametrize("case", SAME_RESULTS)
def test_the_digest_is_not_about_places_or_people(overlay: Write, case: str) -> None:
    files, environ = SAME_RESULTS[case]
    own = overlay(files) if files else {}
    assert conf.load(environ={**own, **environ}).digest == conf.load(environ={}).digest


@pytest.mark.parametrize("case", OTHER_RESULTS)
def test_the_digest_is_about_what_changes_results(overlay: Write, case: str) -> None:
    digest = conf.load(environ=overlay(OTHER_RESULTS[case])).digest
    assert digest != conf.load(environ={}).digest
    assert len(digest) == 12


def test_readable_from_inside_a_zip(tmp_path: Path) -> None:
    # How a cluster gets the package: --py-files dist/clm_lake.zip.
    archive = tmp_path / "clm_lake.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for package in ("conf", "schemas"):
            for path in sorted((ROOT / package).rglob("*")):
                if path.suffix in (".py", ".toml"):
                    packed.write(path, path.relative_to(ROOT))
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); import conf; assert '.zip' in conf.__file__; " + (
        "print([source.name for source in conf.load(environ={}).sources])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (str(SHIPPED), "")


def test_importing_the_configuration_and_the_catalogue_loads_no_engine() -> None:
    code = (
        "import conf, schemas, schemas.docs, sys; conf.load(environ={}); "
        "print(sorted({'pyspark', 'great_expectations', 'airflow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
