"""What the drivers for Python share: reading the cases, writing what came of each."""
import datetime
import decimal
import hashlib
import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
with open(config["cases"]) as file:
    cases = json.load(file)


def value_of(param):
    kind = param["t"]
    if kind == "null":
        return None
    text = param["v"] * param.get("repeat", 1)
    if kind == "int":
        return int(text)
    if kind == "double":
        return float(text)
    if kind == "bytes":
        return bytes.fromhex(text)
    if kind == "decimal":
        return decimal.Decimal(text)
    if kind == "bool":
        return text == "true"
    if kind == "date":
        return datetime.date.fromisoformat(text)
    if kind == "datetime":
        whole, _, fraction = text.partition(".")
        return datetime.datetime.fromisoformat(whole).replace(microsecond=int(fraction.ljust(6, "0") or 0))
    if kind == "time":
        hours, minutes, seconds = text.split(":")
        return datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    return text


def cell(value):
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        return "bytes " + short(bytes(value).hex())
    if isinstance(value, set):
        return "set " + ",".join(sorted(value))
    return type(value).__name__ + " " + short(str(value))


def short(text):
    return text if len(text) <= 200 else "%d %s" % (len(text), hashlib.md5(text.encode()).hexdigest())


def say(outcome):
    print(json.dumps(outcome, default=str), flush=True)


def run_cases(forms, execute):
    """`execute(form, case, params)` gives an outcome; drivers without prepared statements have the form text only."""
    for case in cases:
        params = [value_of(param) for param in case.get("params", [])]
        both = "params" in case or case.get("prepared")
        for form in forms if both else ["text"]:
            try:
                outcome = execute(form, case, params)
            except Exception as error:
                number = error.args[0] if error.args and isinstance(error.args[0], int) else None
                outcome = {"errno": number} if number is not None else {"failed": type(error).__name__ + " " + str(error)}
            say({"id": case["id"], "form": form, **outcome})
