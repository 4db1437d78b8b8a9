"""Checks that finding the customers of an address uses the new index."""

from __future__ import annotations

import json
import sqlite3
import sys

from faults import strike

json.load(sys.stdin)
strike("validate-performance")
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN SELECT name FROM customers WHERE address_id=1"))
outputs = {"performance_valid": "customers_by_address" in plan, "performance_report": plan}
json.dump({"outputs": outputs}, sys.stdout)
