# SPDX-License-Identifier: MIT
"""Counts visits in an SQLite database in memory: one, for every request finds it as it was frozen."""
import json
import sqlite3

import mayfly

db = sqlite3.connect(":memory:")
db.execute("create table visit(target text)")


def handle(method, target, body):
    db.execute("insert into visit values(?)", (target,))
    visits = db.execute("select count(*) from visit").fetchone()[0]
    return 200, "application/json", json.dumps({"visits": visits, "body": len(body)}).encode()


mayfly.serve(handle)
