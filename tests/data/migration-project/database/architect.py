"""Moves the addresses of customers into a table of their own, step by step, and takes each step back.

Every step commits as it goes, as large migrations do, so a step that breaks leaves work half done; every undo can be
repeated, and starts from whatever it finds.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from faults import fault, strike

OLD, NEW = 1, 2
"""`user_version` before and after."""
BATCH = 50
"""Rows that one transaction migrates."""


def backup(db: sqlite3.Connection, order: dict[str, Any]) -> dict[str, Any]:
    """Copy the whole database; the name is the run's, so that a second try writes the same file."""
    folder = Path("backups")
    folder.mkdir(exist_ok=True)
    path = folder / f"{order['runId']}.db"
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with sqlite3.connect(partial) as copy:
        db.backup(copy)
    copy.close()
    strike("backup")
    partial.replace(path)
    return {"backup_id": order["runId"], "backup_location": str(path)}


def validate_schema(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """The schema is the one that this migration was written for."""
    return {"schema_valid": version(db) == OLD and "address" in columns(db)}


def migrate_schema(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """Add the table, the column and the index, one statement at a time."""
    db.execute("CREATE TABLE IF NOT EXISTS addresses(id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    if "address_id" not in columns(db):
        db.execute("ALTER TABLE customers ADD COLUMN address_id INTEGER REFERENCES addresses(id)")
    strike("migrate-schema")
    db.execute("CREATE INDEX IF NOT EXISTS customers_by_address ON customers(address_id)")
    db.execute(f"PRAGMA user_version={NEW}")
    return {"migration_version": NEW, "migration_timestamp": db.execute("SELECT datetime('now')").fetchone()[0]}


def rollback_schema(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """Take the schema back, as far as it had come."""
    strike("undo:migrate-schema")
    db.execute("DROP INDEX IF EXISTS customers_by_address")
    if "address_id" in columns(db):
        db.execute("ALTER TABLE customers DROP COLUMN address_id")
    db.execute("DROP TABLE IF EXISTS addresses")
    db.execute(f"PRAGMA user_version={OLD}")
    return {}


def migrate_data(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """Move the addresses in batches; a second try goes on where the first one broke."""
    moved = 0
    next_rows = "SELECT id, address FROM customers WHERE address_id IS NULL ORDER BY id LIMIT ?"
    while rows := db.execute(next_rows, (BATCH,)).fetchall():
        with transaction(db):
            for customer, address in rows:
                number = db.execute("INSERT INTO addresses(text) VALUES (?)", (address,)).lastrowid
                db.execute("UPDATE customers SET address_id=?, address='(moved)' WHERE id=?", (number, customer))
        moved += len(rows)
        strike("migrate-data")
    if fault("migrate-data") == "corrupt":
        db.execute("DELETE FROM addresses WHERE id % 7 = 0")
    return {"rows_migrated": moved, "data_migration_log": f"{moved} addresses moved"}


def restore_data(db: sqlite3.Connection, order: dict[str, Any]) -> dict[str, Any]:
    """Put the whole backup back, in one transaction."""
    strike("undo:migrate-data")
    with sqlite3.connect(Path("backups") / f"{order['inputs']['backup_id']}.db") as copy:
        copy.backup(db)
    copy.close()
    return {}


def validate_integrity(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """Every customer has an address that is there."""
    strike("validate-integrity")
    dangling = db.execute("PRAGMA foreign_key_check").fetchall()
    missing = db.execute("SELECT count(*) FROM customers WHERE address_id IS NULL").fetchone()[0]
    sound = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    report = f"{len(dangling)} dangling references, {missing} customers without an address"
    return {"integrity_valid": sound and not dangling and not missing, "integrity_report": report}


def cleanup(db: sqlite3.Connection, _order: dict[str, Any]) -> dict[str, Any]:
    """Drop the column that nobody reads any more."""
    strike("cleanup")
    db.execute("ALTER TABLE customers DROP COLUMN address")
    return {"migration_complete": True}


FORWARD = {
    "backup": backup,
    "validate-schema": validate_schema,
    "migrate-schema": migrate_schema,
    "migrate-data": migrate_data,
    "validate-integrity": validate_integrity,
    "cleanup": cleanup,
}
UNDO = {"migrate-schema": rollback_schema, "migrate-data": restore_data}


def version(db: sqlite3.Connection) -> int:
    """`user_version` of the database."""
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    return number


def columns(db: sqlite3.Connection) -> set[str]:
    """Columns of the table of customers."""
    return {row[1] for row in db.execute("PRAGMA table_info(customers)")}


class transaction:  # noqa: N801 - reads as a statement
    """All of a block, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self.db.execute("COMMIT" if kind is None else "ROLLBACK")


def main() -> None:
    """One order from stdin, one answer to stdout."""
    order = json.load(sys.stdin)
    undoing = order.get("role") == "compensate"
    with Path("steps.log").open("a", encoding="utf-8") as log:
        log.write(f"{'undo ' if undoing else ''}{order['node']}\n")
    db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
    outputs = (UNDO if undoing else FORWARD)[order["node"]](db, order)
    db.close()
    json.dump({"outputs": outputs}, sys.stdout)


main()
