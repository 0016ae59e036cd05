"""PyMySQL, mysqlclient or MySQL's own connector, by the second argument."""
import sys

from driver import cell, config, run_cases

place = dict(host=config["host"], port=config["port"], user=config["user"], password=config["password"], database=config["database"])
tls = config["tls"]
maker = sys.argv[2]

if maker == "pymysql":
    import pymysql

    connection = pymysql.connect(charset="utf8mb4", autocommit=True, **place, **({} if tls is None else {"ssl": {"ca": tls}}))
elif maker == "mysqlclient":
    import MySQLdb

    connection = MySQLdb.connect(
        charset="utf8mb4", autocommit=True, **place, **({"ssl_mode": "DISABLED"} if tls is None else {"ssl_mode": "VERIFY_CA", "ssl": {"ca": tls}})
    )
else:
    import mysql.connector

    secure = {"ssl_disabled": True} if tls is None else {"ssl_ca": tls, "ssl_verify_cert": True}
    connection = mysql.connector.connect(use_pure=True, charset="utf8mb4", collation="utf8mb4_general_ci", autocommit=True, get_warnings=True, **place, **secure)


def execute(form, case, params):
    cursor = connection.cursor(prepared=True) if form == "prepared" else connection.cursor()
    try:
        sql = case["sql"]
        if params:
            sql = sql.replace("?", "%s") if form == "text" else sql
        cursor.execute(sql, tuple(params)) if params else cursor.execute(sql)
        outcome = {"affected": cursor.rowcount, "insertId": str(cursor.lastrowid)}
        if cursor.description is not None:
            rows = cursor.fetchall()
            outcome["columns"] = [[str(part) for part in column] for column in cursor.description]
            outcome["rows"] = [[cell(value) for value in row] for row in rows]
            outcome["affected"] = cursor.rowcount
        outcome["warnings"] = connection.warning_count() if maker == "mysqlclient" else getattr(cursor, "warning_count", None)
        return outcome
    finally:
        try:
            cursor.close()
        except Exception:
            pass


run_cases(["text", "prepared"] if maker == "connector" else ["text"], execute)
connection.close()
