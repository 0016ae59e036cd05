"""Works through the gate with PyMySQL until standard input closes; prints what it did as JSON. Any error ends it."""
import json
import sys
import threading
from decimal import Decimal

import pymysql
import pymysql.cursors

host, port, user, password, database = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()


def check(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, expected {expected!r}")


def main():
    operations = 0
    connection = pymysql.connect(host=host, port=port, user=user, password=password, database=database, charset="utf8mb4", autocommit=True)
    turn = 0
    while not stop.is_set():
        turn += 1
        owner = 1 + turn % 500
        text = f"it's turn {turn} — ünïcödé \\ \"quoted\" 🏋"
        blob = bytes((turn + n) % 256 for n in range(64))
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO notes (owner, body, raw, amount) VALUES (%s, %s, %s, %s)", (owner, text, blob, Decimal("12.34")))
            new_id = cursor.lastrowid
            if not new_id:
                raise AssertionError("no lastrowid")
            cursor.execute("SELECT body, raw, amount FROM notes WHERE owner = %s AND id = %s", (owner, new_id))
            check("row read back", cursor.fetchall(), ((text, blob, Decimal("12.34")),))
            check("rows changed", cursor.execute("UPDATE notes SET amount = amount + 1 WHERE owner = %s AND id = %s", (owner, new_id)), 1)
        with connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SELECT amount FROM notes WHERE owner = %s AND id = %s", (owner, new_id))
            check("dictionary row", cursor.fetchone(), {"amount": Decimal("13.34")})
        connection.begin()
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO notes (owner, body, raw, amount) VALUES (%s, %s, %s, %s)", [(owner + n, f"batch {turn}", b"", n) for n in range(4)])
            cursor.execute("DELETE FROM notes WHERE owner = %s AND id = %s", (owner, new_id))
        if turn % 5 == 0:
            connection.rollback()
        else:
            connection.commit()
        with connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute("SELECT id, owner FROM notes WHERE owner = %s ORDER BY id LIMIT 20", (owner + 1,))
            found = [row[0] for row in cursor]
            check("order", found, sorted(found))
        operations += 8
    # Every batch is there whole or, rolled back, not at all.
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM notes")
        total = cursor.fetchone()[0]
    check("rows at the end", total, 4 * (turn - turn // 5) + turn // 5)
    connection.close()
    print(json.dumps({"operations": operations, "turns": turn, "rows": total, "version": pymysql.__version__}))


main()
