"""Sources small enough to read: payments and customers, with whatever a test is about changed."""

from __future__ import annotations

PAYMENT_COLUMNS = 'payment = "string"\ncustomer = "string"\npaid = "timestamp"\nrupees = "decimal(14,2)"\n'
HEADER = "payment,customer,paid,rupees"


def payments(
    *,
    name: str = "payments",
    path: str = "payments/{date}/*.csv.gz",
    top: str = "",
    files: str = 'format = "csv"\nmanifest = "given"\n',
    columns: str = PAYMENT_COLUMNS,
    changed_map: str = "",
    limits: str = "",
) -> str:
    """A source of the feed transactions; `top`, `files`, `changed_map` and `limits` are lines of TOML."""
    mapped = {
        "transaction_id": '"payment"',
        "customer_id": '"customer"',
        "occurred_at": '"paid"',
        "product": "\"'recharge'\"",
        "direction": "\"'debit'\"",
        "status": "\"'success'\"",
        "amount_minor": '"cast(rupees * 100 as bigint)"',
        "currency": "\"'INR'\"",
    }
    mapped |= dict(line.split(" = ", 1) for line in changed_map.splitlines())
    lines = "\n".join(f"{key} = {value}" for key, value in mapped.items() if value != '""')
    return f"""\
name  = "{name}"
feed  = "transactions"
owner = "payments-team"
about = "Payments of a test."
{top}
[files]
path = "{path}"
zone = "Asia/Kolkata"
{files}
[columns]
{columns}
[map]
{lines}

[limits]
{limits}
"""


CUSTOMERS = """\
name  = "customers"
feed  = "customers"
owner = "identity-team"
about = "Registrations of a test."

[files]
path     = "customers/{date}/*.jsonl.gz"
format   = "jsonl"
manifest = "given"
zone     = "Asia/Kolkata"

[columns]
customer = "string"
registered = "timestamp"
changed = "timestamp"
language = "string"

[map]
customer_id = "customer"
registered_at = "registered"
updated_at = "changed"
language = "language"
"""
