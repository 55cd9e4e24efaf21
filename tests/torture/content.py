"""What a report's result has to be, computed from its parameters alone."""

import json
import re
from itertools import accumulate

DATE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DATE_LENGTH = 20
ROWS_MAX = 150_000  # of a huge report: some megabytes

# Which reports have a result, and what their rows are.
ROW_TEXTS = {
    "Rows": lambda i: b'{"i":%d,"square":%d}' % (i, i * i),
    "Slow": lambda i: b'{"i":%d,"burnt":%d}' % (i, 4000 + i),
}
ROWS_OF = {"Rows": ROWS_MAX, "Slow": 1000}

# The words with which the others end in error.
ERRORS = {
    "Failing": re.compile(r"^Nothing is called .*\.$"),
    "TooLong": re.compile(r"^The report has more rows than its limit of 100 "),
    "Forever": re.compile("$^"),
    "Endless": re.compile(r"^The report took longer than its limit of 700ms "),
}


class Rows:
    """The text of rows 1 … n of a report: a prefix of a text that is made once."""

    def __init__(self, name):
        texts = [ROW_TEXTS[name](i) for i in range(1, ROWS_OF[name] + 1)]
        self.text = memoryview(b",".join(texts))
        self.ends = [0, *accumulate(len(text) + 1 for text in texts)]

    def first(self, count):
        return self.text[:max(0, self.ends[count] - 1)]


class Contents:
    """Compares results with what they have to be."""

    def __init__(self):
        self.rows = {name: Rows(name) for name in ROW_TEXTS}

    def _segments(self, user, name, parameters):
        """What stands before the date, and after it."""
        compact = {"separators": (",", ":")}
        count = int(parameters["Rows"])
        head = f'{{"result":true,"message":"","data":{{"reportName":"{name}","generatedDate":"'
        middle = f'","parameters":{json.dumps(parameters, **compact)},"results":['
        summary = {"rows": count, "tag": parameters["Tag"], "user": user}
        tail = f'],"summary":{json.dumps(summary, **compact)}}}}}'
        return [head.encode()], [middle.encode(), self.rows[name].first(count), tail.encode()]

    def length(self, user, name, parameters):
        before, after = self._segments(user, name, parameters)
        return sum(map(len, before)) + DATE_LENGTH + sum(map(len, after))

    def differs(self, user, name, parameters, body, first=0):
        """The offset at which `body`, the bytes from `first` on, is not as it has to be, or None."""
        before, after = self._segments(user, name, parameters)
        body = memoryview(body)
        end = first + len(body)
        at = 0
        for segment in (*before, None, *after):
            length = DATE_LENGTH if segment is None else len(segment)
            low, high = max(at, first), min(at + length, end)
            if low < high:
                got = body[low - first:high - first]
                if segment is not None and got != memoryview(segment)[low - at:high - at]:
                    return low
                if segment is None and high - low == length and not DATE.fullmatch(got):
                    return low
            at += length
        return None if end <= at else at


def request_of(body):
    """(report, parameters) as a whole result names them, or None."""
    try:
        start = body.index(b'"parameters":') + len(b'"parameters":')
        parameters, _ = json.JSONDecoder().raw_decode(body[start:start + 4096].decode("utf-8", "ignore"))
        name = re.search(rb'"reportName":"(\w+)"', body[:200]).group(1).decode()
    except (ValueError, AttributeError):
        return None
    return name, parameters
