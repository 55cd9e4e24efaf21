"""One HTTP connection that never sends a request twice by itself, and says what became of it."""

import functools
import http.client
import json

from history import now_us

PATIENCE = 20  # seconds; nothing stops the server for that long, so a later answer is a fault
CUT = 200  # characters of an answer that is quoted


class Answer:
    """What came back: `status` is None without an answer, and `why` says how that came."""

    def __init__(self, sent, status=None, headers=None, body=b"", why=None):
        self.sent, self.received = sent, now_us()
        self.status, self.headers, self.body, self.why = status, headers or {}, body, why

    @functools.cached_property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def text(self):
        return f"{self.status} {self.body[:CUT].decode('utf-8', 'replace')}"


class NotSent(Exception):
    """Nobody listens: the request has not left."""


class Connection:
    def __init__(self, port):
        self.port = port
        self.connection = None
        self.sent = 0

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def _connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.connect()
        except OSError as error:
            raise NotSent from error
        self.connection = connection

    def begin(self, method, path, headers, body=None):
        """Send a request; end() takes its answer."""
        if self.connection is None:
            self._connect()
        self.sent = now_us()
        try:
            self.connection.request(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            self.close()  # part of it may have gone: end() says that there is no answer

    def end(self):
        if self.connection is None:
            return Answer(self.sent, why="broken")
        try:
            response = self.connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(self.sent, why="timeout" if isinstance(error, TimeoutError) else "broken")
        try:
            body, why = response.read(), None
        except http.client.IncompleteRead as error:
            body, why = error.partial, "cut"
        except (OSError, http.client.HTTPException) as error:
            body, why = b"", "timeout" if isinstance(error, TimeoutError) else "cut"
        if why is not None or response.will_close:
            self.close()
        return Answer(self.sent, response.status, response.headers, body, why)

    def call(self, method, path, headers, body=None):
        self.begin(method, path, headers, body)
        return self.end()


class Login:
    """A user's token, shared by the user's threads; got anew before it gets old."""

    LIFE_US = 600 * 1_000_000

    def __init__(self, ports, user, password):
        self.ports, self.user, self.password = ports, user, password
        self.token, self.got_us = None, 0

    def headers(self):
        if self.token is None or now_us() - self.got_us > self.LIFE_US:
            self._log_in_somewhere()
        return {"Version": "2.0", "Authorization": self.token}

    def _log_in_somewhere(self):
        for port in self.ports[:-1]:
            try:
                return self._log_in(port)
            except NotSent:
                pass
        return self._log_in(self.ports[-1])

    def _log_in(self, port):
        connection = Connection(port)
        body = json.dumps({"username": self.user, "password": self.password})
        headers = {"Version": "2.0", "Content-Type": "application/json"}
        answer = connection.call("POST", "/User/Login", headers, body)
        connection.close()
        if answer.status != 200 or answer.why is not None:
            raise NotSent(answer.text())
        self.token, self.got_us = answer.json["accessToken"], now_us()
