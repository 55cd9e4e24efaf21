"""Requests as bytes, and what reportd answers to each: test_framing.py sends them, directly and through nginx.

A case is (name, outcome, bytes). The outcome is the status of an answer after which the connection is closed, CLOSED (there is no
answer), or GOOD: 200, and the next request on the connection is answered, too. In the bytes TOKEN is a valid access token, and
SMUGGLED the id of a request that must never run."""

GOOD, CLOSED = "good", "closed"
SMUGGLED = b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\r\nX-Request-Id: SMUGGLED\r\n\r\n"
JSON = b'{"reference": "0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e"}'  # of no report: a business error
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(JSON), JSON)


def lines(first, *rest, end=b"\r\n", body=b""):
    return end.join([first, *rest, b"", b""]) + body


def get(*fields, target=b"/Common/HealthCheck", version=b"HTTP/1.1", method=b"GET", **more):
    """A request with these lines, and a Host unless one of them is."""
    host = [] if any(b"host" in field.lower() for field in fields) else [b"Host: x"]
    return lines(b" ".join([method, target, version]), *host, *fields, **more)


def nude(*fields, **more):
    """The same without a Host."""
    return get(*fields, b"X-No: host", **more)


def post(*fields, body=b"", version=b"HTTP/1.1", target=b"/Report/Link"):
    """One that needs a body: what these lines say of its length is all that is said."""
    return get(b"Authorization: TOKEN", b"Version: 2.0", b"Content-Type: application/json", *fields,
               method=b"POST", target=target, body=body, version=version)


def length(body):
    return b"Content-Length: %d" % len(body)


def authorized(*fields, target=b"/Report/Types", **more):
    return get(b"Authorization: TOKEN", b"Version: 2.0", *fields, target=target, **more)


CHUNKED = b"Transfer-Encoding: chunked"

HOST = [
    ("a name", GOOD, get(b"Host: reports.example")),
    ("a name and a port", GOOD, get(b"Host: reports.example:8080")),
    ("a port without digits", GOOD, get(b"Host: reports.example:")),
    ("an underscore", GOOD, get(b"Host: re_ports")),
    ("an address", GOOD, get(b"Host: 127.0.0.1:1")),
    ("an address of IPv6", GOOD, get(b"Host: [::1]:80")),
    ("in capitals", GOOD, get(b"HOST: X")),
    ("blanks around", GOOD, get(b"Host: \t x \t")),
    ("no blank", GOOD, get(b"Host:x")),
    ("none", 400, nude()),
    ("none, HTTP/1.2", 400, nude(version=b"HTTP/1.2")),
    ("none, HTTP/1.0", 200, nude(version=b"HTTP/1.0")),
    ("one, HTTP/1.0", 200, get(version=b"HTTP/1.0")),
    ("one, HTTP/1.0 that stays", GOOD, get(b"Connection: keep-alive", version=b"HTTP/1.0")),
    ("an invalid one, HTTP/1.0", 400, get(b"Host: a b", version=b"HTTP/1.0")),
    ("two, HTTP/1.0", 400, get(b"Host: a", b"Host: b", version=b"HTTP/1.0")),
    ("two", 400, get(b"Host: a", b"Host: b")),
    ("the same twice", 400, get(b"Host: a", b"host: a")),
    ("empty", 400, get(b"Host:")),
    ("blank", 400, get(b"Host:  ")),
    ("two in one", 400, get(b"Host: a, b")),
    ("a blank in it", 400, get(b"Host: a b")),
    ("a path", 400, get(b"Host: a/b")),
    ("a user", 400, get(b"Host: user@a")),
    ("a URL", 400, get(b"Host: http://a")),
    ("a query", 400, get(b"Host: a?b")),
    ("an escape", 400, get(b"Host: a%2Fb")),
    ("a backslash", 400, get(b"Host: a\\b")),
    ("quotes", 400, get(b'Host: "a"')),
    ("not ASCII", 400, get(b"Host: \xc3\xa4")),
    ("a port that is none", 400, get(b"Host: a:b")),
    ("a port that is too great", 400, get(b"Host: a:65536")),
    ("two ports", 400, get(b"Host: a:1:2")),
    ("only a port", 400, get(b"Host: :80")),
    ("an open bracket", 400, get(b"Host: [::1")),
    ("brackets around a name", 400, get(b"Host: [a]")),
    ("something behind brackets", 400, get(b"Host: [::1]x")),
    ("a control character", 400, get(b"Host: a\x01b")),
]

FIELDS = [
    ("a name of every mark", GOOD, get(b"!#$%&'*+-.^_`|~: x")),
    ("an empty value", GOOD, get(b"X-Empty:")),
    ("a value of letters beyond ASCII", GOOD, get(b"X-Name: \xc5\xbbaneta")),
    ("a tab within a value", GOOD, get(b"X-Tab: a\tb")),
    ("colons in a value", GOOD, get(b"X-Colons: a:b:c")),
    ("an unknown one twice", GOOD, get(b"X-Other: a", b"X-Other: b")),
    ("a blank before the colon", 400, get(b"X-Name : x")),
    ("a tab before the colon", 400, get(b"X-Name\t: x")),
    ("a blank before the colon of a length", 400, post(b"Content-Length : %d" % len(SMUGGLED), body=SMUGGLED)),
    ("a blank before the colon of a coding", 400, post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    ("a blank before the colon of Host", 400, nude(b"Host : x")),
    ("no name", 400, get(b": x")),
    ("no name, a blank", 400, get(b" : x")),
    ("no colon", 400, get(b"nothing")),
    ("a blank in the name", 400, get(b"X Name: x")),
    ("a parenthesis in the name", 400, get(b"X(Name): x")),
    ("a comma in the name", 400, get(b"Content-Length,: 0")),
    ("a slash in the name", 400, get(b"X/Name: x")),
    ("an at sign in the name", 400, get(b"X@Name: x")),
    ("brackets in the name", 400, get(b"X[0]: x")),
    ("quotes in the name", 400, get(b'"X": x')),
    ("DEL in the name", 400, get(b"X\x7f: x")),
    ("a letter beyond ASCII in the name", 400, get(b"X-\xc3\xa4: x")),
    ("a control character in the name", 400, get(b"X-\x01: x")),
    ("a vertical tab before the name", 400, get(b"\x0bX-Name: x")),
    ("a CR in the name", 400, get(b"X-\rName: x")),
    ("a NUL in the name", 400, get(b"X-\0Name: x")),
    ("a blank before the first", 400, nude(b" Host: x")),
    ("a tab before the first", 400, lines(b"GET /Common/HealthCheck HTTP/1.1", b"\tX-First: x", b"Host: x")),
    ("a blank before the first, which has a length", 400,
     lines(b"POST /Report/Link HTTP/1.1", b" Content-Length: %d" % len(SMUGGLED), b"Host: x", body=SMUGGLED)),
    ("a folded one", 400, get(b"X-Name: a", b" b")),
    ("one folded with a tab", 400, get(b"X-Name: a", b"\tb")),
    ("a folded one that becomes a length", 400, get(b"Content-Len: %d" % len(SMUGGLED), b" gth", body=SMUGGLED)),
    ("a folded coding", 400, post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    ("a folded line that is empty", 400, get(b"X-Name: a", b" ")),
    ("a NUL in a value", 400, get(b"X-Name: a\0b")),
    ("a NUL at the end of a value", 400, get(b"X-Name: a\0")),
    ("a NUL that begins a value", 400, get(b"X-Name: \0a")),
    ("a NUL in the last value", 400, lines(b"GET /Common/HealthCheck HTTP/1.1", b"Host: x\0y")),
    ("a NUL that begins a line", 400, get(b"\0X-Name: a", b"X-More: b")),
    ("a NUL alone on a line", 400, get(b"\0", body=SMUGGLED)),
    ("a CR in a value", 400, get(b"X-Name: a\rb")),
    ("a CR that looks like a line's end", 400, get(b"X-Name: a\rContent-Length: %d" % len(SMUGGLED), body=SMUGGLED)),
    ("two CRs", 400, get(b"X-Name: a\r")),
    ("a form feed in a value", 400, get(b"X-Name: a\x0cb")),
    ("an escape in a value", 400, get(b"X-Name: \x1b[2J")),
    ("DEL in a value", 400, get(b"X-Name: \x7f")),
    ("bare LFs", 400, get(end=b"\n")),
    ("a bare LF after the first line", 400, b"GET /Common/HealthCheck HTTP/1.1\nHost: x\r\n\r\n"),
    ("a bare LF after a field", 400, b"GET /Common/HealthCheck HTTP/1.1\r\nX-Name: a\nHost: x\r\n\r\n"),
    ("a bare LF after the last field", 400, b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\n\r\n"),
    ("a bare LF that ends the head", 400, b"GET /Common/HealthCheck HTTP/1.1\r\nHost: x\r\n\n"),
    ("more than there is room for", 431, get(b"X-Long: " + b"x" * 20000)),
]

LENGTHS = [
    ("a body", GOOD, post(length(JSON), body=JSON)),
    ("zeros before it", GOOD, post(b"Content-Length: 000%d" % len(JSON), body=JSON)),
    ("a body that is not asked for", GOOD, get(length(SMUGGLED), body=SMUGGLED)),
    ("an empty body that is not asked for", GOOD, get(b"Content-Length: 0")),
    ("none, where a body is needed", 411, post(body=SMUGGLED)),
    ("none, where a body is needed, HTTP/1.0", 411, post(b"Connection: keep-alive", version=b"HTTP/1.0")),
    ("none, an unknown path", 404, post(target=b"/Nothing", body=SMUGGLED.replace(b"SMUGGLED", b"x"))),
    ("none, another method", 405, get(method=b"PUT", target=b"/Report/Types")),
    ("two that differ", 400, post(length(JSON), b"Content-Length: 0", body=JSON + SMUGGLED)),
    ("two that differ, the other way", 400, post(b"Content-Length: 0", length(SMUGGLED), body=SMUGGLED)),
    ("the same twice", 400, post(length(JSON), length(JSON), body=JSON)),
    ("a list", 400, post(b"Content-Length: %d, %d" % (len(JSON), len(JSON)), body=JSON)),
    ("a list that differs", 400, post(b"Content-Length: 0, %d" % len(SMUGGLED), body=SMUGGLED)),
    ("a blank behind it", 400, post(length(SMUGGLED) + b" ", body=SMUGGLED)),
    ("a tab behind it", 400, post(length(SMUGGLED) + b"\t", body=SMUGGLED)),
    ("a blank in it", 400, post(b"Content-Length: 7 4", body=SMUGGLED)),
    ("a sign", 400, post(b"Content-Length: +%d" % len(SMUGGLED), body=SMUGGLED)),
    ("a negative one", 400, post(b"Content-Length: -%d" % len(SMUGGLED), body=SMUGGLED)),
    ("a hexadecimal one", 400, post(b"Content-Length: 0x4a", body=SMUGGLED)),
    ("a fraction", 400, post(b"Content-Length: 74.0", body=SMUGGLED)),
    ("an exponent", 400, post(b"Content-Length: 7e1", body=SMUGGLED)),
    ("a letter behind it", 400, post(length(SMUGGLED) + b"x", body=SMUGGLED)),
    ("a letter", 400, post(b"Content-Length: x", body=SMUGGLED)),
    ("nothing in it", 400, post(b"Content-Length:", body=SMUGGLED)),
    ("a NUL behind it", 400, post(length(SMUGGLED) + b"\0", body=SMUGGLED)),
    ("more than 64 bits", 413, post(b"Content-Length: 18446744073709551616", body=SMUGGLED)),
    ("more than anyone reads", 413, post(b"Content-Length: 9223372036854775807", body=SMUGGLED)),
    ("more than anyone reads, asked before", 413, post(b"Content-Length: 300000", b"Expect: 100-continue", body=SMUGGLED)),
    ("one of a GET, twice", 400, get(length(SMUGGLED), b"Content-Length: 0", body=SMUGGLED)),
]

CODINGS = [
    # Where chunks end the library and others may disagree, before its version 1.0: the connection is closed behind them.
    ("chunks", 200, post(CHUNKED, body=CHUNKS)),
    ("capitals", 200, post(b"Transfer-Encoding: Chunked", body=CHUNKS)),
    ("chunks with extensions", 200, post(CHUNKED, body=b"%x;a=b\r\n%s\r\n0;c\r\n\r\n" % (len(JSON), JSON))),
    ("chunks with trailers", 200, post(CHUNKED, body=CHUNKS[:-2] + b"X-Trailer: x\r\nHost: y\r\n\r\n")),
    ("chunks that nobody asked for", 200, get(CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))),
    ("and a length", 400, post(CHUNKED, b"Content-Length: %d" % (5 + len(SMUGGLED)), body=b"0\r\n\r\n" + SMUGGLED)),
    ("and a length before it", 400, post(b"Content-Length: 4", CHUNKED, body=CHUNKS + SMUGGLED)),
    ("and no length", 400, post(CHUNKED, b"Content-Length: 0", body=CHUNKS + SMUGGLED)),
    ("and an invalid length", 400, post(CHUNKED, b"Content-Length: x", body=CHUNKS + SMUGGLED)),
    ("HTTP/1.0", 400, post(CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0", body=b"0\r\n\r\n" + SMUGGLED)),
    ("twice", 400, post(CHUNKED, CHUNKED, body=CHUNKS + SMUGGLED)),
    ("twice on one line", 400, post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS + SMUGGLED)),
    ("chunked and identity on two lines", 400, post(CHUNKED, b"Transfer-Encoding: identity", body=CHUNKS + SMUGGLED)),
    ("a blank behind it", 400, post(CHUNKED + b" ", body=CHUNKS + SMUGGLED)),
    ("a tab behind it", 400, post(CHUNKED + b"\t", body=CHUNKS + SMUGGLED)),
    ("a vertical tab before it", 400, post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS + SMUGGLED)),
    ("a vertical tab behind it", 400, post(CHUNKED + b"\x0b", body=CHUNKS + SMUGGLED)),
    ("a comma behind it", 400, post(CHUNKED + b",", body=CHUNKS + SMUGGLED)),
    ("a comma before it", 400, post(b"Transfer-Encoding: ,chunked", body=CHUNKS + SMUGGLED)),
    ("a parameter", 400, post(CHUNKED + b";q=1", body=CHUNKS + SMUGGLED)),
    ("quotes", 400, post(b'Transfer-Encoding: "chunked"', body=CHUNKS + SMUGGLED)),
    ("a NUL behind it", 400, post(CHUNKED + b"\0", body=CHUNKS + SMUGGLED)),
    ("nothing in it", 400, post(b"Transfer-Encoding:", body=CHUNKS + SMUGGLED)),
    ("gzip before it", 501, post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS + SMUGGLED)),
    ("gzip behind it", 501, post(b"Transfer-Encoding: chunked, gzip", body=CHUNKS + SMUGGLED)),
    ("gzip", 501, post(b"Transfer-Encoding: gzip", body=CHUNKS + SMUGGLED)),
    ("identity", 501, post(b"Transfer-Encoding: identity", body=CHUNKS + SMUGGLED)),
    ("a letter more", 501, post(b"Transfer-Encoding: xchunked", body=CHUNKS + SMUGGLED)),
    ("a word beside it", 400, post(b"Transfer-Encoding: chunked x", body=CHUNKS + SMUGGLED)),
    ("of a GET", 501, get(b"Transfer-Encoding: gzip", body=SMUGGLED)),
    ("a size that is none", 400, post(CHUNKED, body=b"x\r\n" + SMUGGLED)),
    ("a size with 0x", 400, post(CHUNKED, body=b"0x4\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a size with a sign", 400, post(CHUNKED, body=b"+4\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a negative size", 400, post(CHUNKED, body=b"-4\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a size with a blank", 400, post(CHUNKED, body=b"4 \r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("no size", 400, post(CHUNKED, body=b"\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a size of more than 64 bits", 413, post(CHUNKED, body=b"10000000000000004\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a chunk that is longer than its size", 400, post(CHUNKED, body=b"2\r\n{  }\r\n0\r\n\r\n" + SMUGGLED)),
    ("a size whose line is longer than there is room for", 500, post(CHUNKED, body=b"2;" + b"x" * 20000 + b"\r\n{}\r\n0\r\n\r\n" + SMUGGLED)),
    ("bare LFs behind sizes and data", 200, post(CHUNKED, body=CHUNKS.replace(b"\r\n", b"\n") + SMUGGLED)),
    ("a bare LF within an extension", 200, post(CHUNKED, body=b"%x;\n%s\r\n0\r\n\r\n" % (len(JSON), JSON) + SMUGGLED)),
    ("trailers that are no fields but have colons", 200, post(CHUNKED, body=CHUNKS[:-2] + b" X : y\r\n: z\r\nX: \0\r\n y: z\r\n\r\n" + SMUGGLED)),
    ("a trailer that begins with a NUL", 200, post(CHUNKED, body=CHUNKS[:-2] + b"\0X: y\r\n" + SMUGGLED)),
    ("a trailer without a colon", 400, post(CHUNKED, body=b"0\r\nnothing\r\n\r\n" + SMUGGLED)),
]

TARGETS = [
    ("a URL", GOOD, get(target=b"http://x/Common/HealthCheck")),
    ("a URL in capitals", GOOD, get(target=b"HTTP://X/Common/HealthCheck")),
    ("a URL of https", GOOD, get(target=b"https://reports.example:8443/Common/HealthCheck")),
    ("a URL with a query", GOOD, get(target=b"http://x/Common/HealthCheck?a=b")),
    ("a URL of another host than Host", GOOD, get(b"Host: y", target=b"http://x/Common/HealthCheck")),
    ("a URL of IPv6", GOOD, get(target=b"http://[::1]/Common/HealthCheck")),
    ("a URL without a path", GOOD, get(target=b"http://x")),
    ("a URL with a query instead of a path", GOOD, get(target=b"http://x?a=/Nothing")),
    ("a URL, HTTP/1.0", 200, nude(target=b"http://x/Common/HealthCheck", version=b"HTTP/1.0")),
    ("a URL and no Host", 400, nude(target=b"http://x/Common/HealthCheck")),
    ("a URL and an invalid Host", 400, get(b"Host: a b", target=b"http://x/Common/HealthCheck")),
    ("a URL with a user", 400, get(target=b"http://user@x/Common/HealthCheck")),
    ("a URL without a host", 400, get(target=b"http:///Common/HealthCheck")),
    ("a URL with an escape in its host", 400, get(target=b"http://x%2F/Common/HealthCheck")),
    ("a URL of another scheme", 400, get(target=b"ftp://x/Common/HealthCheck")),
    ("a URL without slashes", 400, get(target=b"http:x/Common/HealthCheck")),
    ("a path without its first slash", 400, get(target=b"Common/HealthCheck")),
    ("only a query", 400, get(target=b"?a=b")),
    ("*", 400, get(target=b"*")),
    ("OPTIONS *", 204, get(b"Connection: close", target=b"*", method=b"OPTIONS")),
    ("** of OPTIONS", 400, get(target=b"**", method=b"OPTIONS")),
    ("CONNECT", 400, get(target=b"x:443", method=b"CONNECT")),
    ("a fragment", 400, get(target=b"/Common/HealthCheck#a")),
    ("a blank in it", 400, get(target=b"/Common/ HealthCheck")),
    ("a tab in it", 400, get(target=b"/Common/\tHealthCheck")),
    ("a control character", 400, get(target=b"/Common/\x01")),
    ("DEL", 400, get(target=b"/Common/\x7f")),
    ("a CR in it", 400, get(target=b"/Common/HealthCheck\r")),
    ("a NUL in it", 400, get(target=b"/Common/HealthCheck\0x")),
    ("a NUL in its query", 400, get(target=b"/Common/HealthCheck?a\0b")),
    ("not ASCII", 400, get(target=b"/Common/\xc3\xa4")),
    ("not ASCII in its query", 400, get(target=b"/Common/HealthCheck?a=\xff")),
    ("%00", 400, get(target=b"/Common/HealthCheck%00")),
    ("%00 in its query", 400, get(target=b"/Common/HealthCheck?a=%00")),
    ("%00 in a name of its query", 400, get(target=b"/Common/HealthCheck?a%00=b")),
    ("a % and no digits", 400, get(target=b"/Common/HealthCheck?a=%")),
    ("a % and one digit", 400, get(target=b"/Common/HealthCheck?a=%1")),
    ("a % and no hexadecimal digits", 400, get(target=b"/Common/%zz")),
    ("%2F is no slash", 404, get(b"Connection: close", target=b"/Common%2FHealthCheck")),
    ("%2f is no slash", 404, get(b"Connection: close", target=b"/%2fCommon/HealthCheck")),
    ("%2F is no slash of a URL", 404, get(b"Connection: close", target=b"http://x/Common%2FHealthCheck")),
    ("%2F in a query", GOOD, get(target=b"/Common/HealthCheck?a=%2F")),
    ("%3F is no question mark", 404, get(b"Connection: close", target=b"/Common/HealthCheck%3Fa")),
    ("an escaped letter", GOOD, get(target=b"/Common/%48ealthCheck")),
    ("two slashes", 404, get(b"Connection: close", target=b"//Common/HealthCheck")),
    ("dots", 404, get(b"Connection: close", target=b"/Common/../Common/HealthCheck")),
    ("what some do not encode", GOOD, get(target=b'/Common/HealthCheck?a[]={"b"}|^`\\<>')),
    ("a reference given twice", 400, authorized(b"Connection: close", target=b"/Report/Status?reference=a&Reference=b")),
    ("64 parameters", GOOD, get(target=b"/Common/HealthCheck?" + b"&".join(b"a%d=1" % i for i in range(64)))),
    ("65 parameters", 400, get(target=b"/Common/HealthCheck?" + b"&".join(b"a%d=1" % i for i in range(65)))),
    ("more parameters than there is room for", 400, get(target=b"/?" + b"&".join(b"a%d" % i for i in range(500)))),
    ("one that is too long", 414, get(target=b"/" + b"x" * 20000)),
]

FIRST_LINES = [
    ("empty lines before it", GOOD, b"\r\n\r\n" + get()),
    ("HTTP/1.9", GOOD, get(version=b"HTTP/1.9")),
    ("no version", 400, lines(b"GET /Common/HealthCheck", b"Host: x")),
    ("no target", 400, lines(b"GET HTTP/1.1", b"Host: x")),
    ("one word", CLOSED, lines(b"GARBAGE", b"Host: x")),
    ("HTTP/2.0", 505, get(version=b"HTTP/2.0")),
    ("HTTP/0.9", 505, get(version=b"HTTP/0.9")),
    ("http/1.1", 400, get(version=b"http/1.1")),
    ("HTTP/1.10", 400, get(version=b"HTTP/1.10")),
    ("HTTP/1", 400, get(version=b"HTTP/1")),
    ("HTTP/1.1 and a letter", 400, get(version=b"HTTP/1.1x")),
    ("HTTP/1,1", 400, get(version=b"HTTP/1,1")),
    ("XTTP/1.1", 400, get(version=b"XTTP/1.1")),
    ("two blanks before the target", 400, get(target=b" /Common/HealthCheck")),
    ("two blanks before the version", 400, get(version=b" HTTP/1.1")),
    ("a blank behind the version", 400, get(version=b"HTTP/1.1 ")),
    ("a tab for a blank", 400, lines(b"GET\t/Common/HealthCheck HTTP/1.1", b"Host: x")),
    ("a blank before the method", CLOSED, get(method=b" GET")),
    ("a parenthesis in the method", 400, get(method=b"G(ET")),
    ("a control character in the method", 400, get(method=b"G\x01ET")),
    ("a NUL in the method", 400, get(method=b"GET\0X")),
    ("a letter beyond ASCII in the method", 400, get(method=b"G\xc3\xa4T")),
    ("a method in small letters", 405, get(b"Connection: close", b"Content-Length: 0", method=b"get")),
    ("an unknown method", 405, get(method=b"BREW", body=SMUGGLED)),
    ("TRACE", 405, get(method=b"TRACE", body=SMUGGLED)),
]

LISTS = b"Accept-Encoding", b"If-None-Match", b"If-Match", b"Prefer", b"Connection", b"Expect"
SINGLES = (b"Content-Type: application/json", b"Cookie: a=b", b"Idempotency-Key: a", b"If-Modified-Since: x", b"If-Range: x",
           b"If-Unmodified-Since: x", b"Last-Event-ID: 1", b"Origin: http://x", b"Range: bytes=0-1", b"X-Request-Id: a",
           b"Version: 2.0", b"Authorization: TOKEN")

VALUES = [
    ("blanks around Version and Authorization", GOOD,
     get(b"Version:\t 2.0 \t", b"Authorization: TOKEN \t ", target=b"/Report/Types")),
    ("blanks behind the media type", GOOD,
     get(b"Authorization: TOKEN", b"Version: 2.0", b"Content-Type: application/json \t", length(JSON), body=JSON,
         method=b"POST", target=b"/Report/Link")),
    ("an Accept on two lines", GOOD, authorized(b"Accept: text/html", b"Accept: application/json")),
    ("an Accept on two lines that excludes JSON", 406,
     authorized(b"Connection: close", b"Accept: application/json;q=0", b"Accept: text/html, */*;q=0")),
    *((f"{name.decode()} twice", GOOD, get(name + b": x", name + b": y")) for name in LISTS),
    *((f"{line.partition(b':')[0].decode()} twice", 400, get(line, line)) for line in SINGLES),
]

CASES = [(f"{kind}: {name}", outcome, raw)
         for kind, cases in (("Host", HOST), ("field", FIELDS), ("Content-Length", LENGTHS), ("Transfer-Encoding", CODINGS),
                             ("target", TARGETS), ("first line", FIRST_LINES), ("value", VALUES))
         for name, outcome, raw in cases]
