"""What a report's result has to be, computed from its parameters alone."""

import io
import json
import re
import subprocess
import zipfile
import zlib
from itertools import accumulate

DATE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DATE_LENGTH = 20
ROWS_MAX = 150_000  # of a huge report: some megabytes

# Which reports have a result, and what their rows are, in JSON and in CSV.
ROW_TEXTS = {
    "Rows": lambda i: b'{"i":%d,"square":%d}' % (i, i * i),
    "Slow": lambda i: b'{"i":%d,"burnt":%d}' % (i, 4000 + i),
}
CSV_TEXTS = {
    "Rows": (b"i,square\r\n", lambda i: b"%d,%d" % (i, i * i)),
    "Slow": (b"i,burnt\r\n", lambda i: b"%d,%d" % (i, 4000 + i)),
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

    def __init__(self, name, text_of, end):
        texts = [text_of(i) for i in range(1, ROWS_OF[name] + 1)]
        self.text = memoryview(end.join(texts) + end)
        self.ends = [0, *accumulate(len(text) + len(end) for text in texts)]

    def lines(self, count):
        """The first so many, each with what ends it."""
        return self.text[:self.ends[count]]

    def first(self, count):
        """Without the last one's comma."""
        return self.text[:max(0, self.ends[count] - 1)]

    def window(self, first, count):
        first, last = (min(row, len(self.ends) - 1) for row in (first, first + count))
        return self.text[self.ends[first]:max(self.ends[first], self.ends[last] - 1)]


class Contents:
    """Compares results with what they have to be."""

    def __init__(self):
        self.rows = {name: Rows(name, text_of, b",") for name, text_of in ROW_TEXTS.items()}
        self.ndjson = {name: Rows(name, text_of, b"\n") for name, text_of in ROW_TEXTS.items()}
        self.csv = {name: Rows(name, text_of, b"\r\n") for name, (_, text_of) in CSV_TEXTS.items()}

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

    def coded_form_is_wrong(self, coding, form, user, name, parameters, body, is_whole):
        """Words, or None: is `body` what the form has to be in this coding, or the beginning of it?"""
        try:
            body = decode(coding, body, is_whole)
        except ValueError as error:
            return str(error)
        return self.form_is_wrong(form, user, name, parameters, body, is_whole)

    def form_is_wrong(self, form, user, name, parameters, body, is_whole):
        count = int(parameters["Rows"])
        if form == "json":
            at, wanted = self.differs(user, name, parameters, body), self.length(user, name, parameters)
            whole_is_wrong = is_whole and len(body) != wanted
            return f"json of {len(body)} bytes, not {wanted}; differs at {at}" if at is not None or whole_is_wrong else None
        if form == "xlsx":
            return workbook_is_wrong(body, count) if is_whole else None
        head = CSV_TEXTS[name][0] if form == "csv" else b""
        lines = (self.csv if form == "csv" else self.ndjson)[name].lines(count)
        wanted = len(head) + len(lines)
        cut = len(body) - len(head)
        if body[:len(head)] == head[:len(body)] and (cut <= 0 or memoryview(body)[len(head):] == lines[:cut]) and \
                (len(body) == wanted if is_whole else len(body) <= wanted):
            return None
        return f"{form} of {len(body)} bytes, not {wanted}, that ends in {bytes(body[-60:])}"

    def window_is_wrong(self, name, parameters, first, count, body):
        """The same of an answer of GET /Report/Rows."""
        total = int(parameters["Rows"])
        wanted = bytes(self.rows[name].window(first, max(0, min(count, total - first))))
        if b'"rows":[' + wanted + b"]}}" in body and b'"totalRows":%d,' % total in body:
            return None
        return f"rows {first} to {first + count} of {total} are {body[-100:]}"


def decode(coding, body, is_whole):
    """What the body says, or its beginning; ValueError: it is not in order though it came to its end."""
    if coding == "gzip":
        reader = zlib.decompressobj(31)
        try:
            plain = reader.decompress(body)
        except zlib.error as error:
            raise ValueError(f"gzip: {error}") from error
        in_order = reader.eof and not reader.unused_data
    elif coding == "zstd":
        done = subprocess.run(["zstd", "-dcq"], input=body, capture_output=True, check=False)
        plain, in_order = done.stdout, done.returncode == 0
    else:
        plain, in_order = body, True
    if is_whole and not in_order:
        raise ValueError(f"{len(body)} bytes of {coding} are not in order")
    return plain


def workbook_is_wrong(body, count):
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            rows = book.read("xl/worksheets/sheet1.xml").count(b"<row ")
    except (zipfile.BadZipFile, KeyError) as error:
        return f"no workbook: {error}"
    return None if rows == count + 1 else f"{rows} rows in the sheet, not {count} and its head"


def request_of(body):
    """(report, parameters) as a whole result names them, or None."""
    try:
        start = body.index(b'"parameters":') + len(b'"parameters":')
        parameters, _ = json.JSONDecoder().raw_decode(body[start:start + 4096].decode("utf-8", "ignore"))
        name = re.search(rb'"reportName":"(\w+)"', body[:200]).group(1).decode()
    except (ValueError, AttributeError):
        return None
    return name, parameters
