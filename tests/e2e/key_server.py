"""A JWK Set over https, or http, as a provider serves one; and as it should not."""

import http.server
import json
import ssl
import threading

from provider import Provider, public


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.fetches.append(self.path)
        self.server.answer(self)

    def do_POST(self):
        """The token endpoint: client credentials, of anyone."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.send_token(self)

    def log_message(self, *_):
        pass


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, address):
        """The handshake is the thread's, so that a client that breaks it off delays nobody."""
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, address)

    def handle_error(self, *_):
        """A client that breaks off is what is tested."""


class UrlProvider(Provider):
    """Its keys are at keys_url, under a certificate of `authority`; None: http."""

    def __init__(self, folder, authority, name="corp", algorithm="ES256", days=30, address="127.0.0.1"):
        folder.mkdir(exist_ok=True)
        self.text, self.authority = b"", authority
        self.listener = Listener((address, 0), Handler)
        self.listener.fetches, self.listener.answer, self.listener.context = [], self.serve, None
        self.listener.send_token = self.send_token
        if authority is not None:
            pem = folder / "provider.pem"
            authority.issue("provider", pem, pem, days=days)
            self.listener.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.listener.context.load_cert_chain(pem)
        self.keys_url = f"{'http' if authority is None else 'https'}://{address}:{self.listener.server_address[1]}/jwks"
        super().__init__(folder, name, algorithm)
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def write(self, text):
        self.text = text.encode()

    def serve(self, request):
        self.send(request, 200, self.text)

    def send_token(self, request):
        self.send(request, 200, json.dumps({"access_token": self.token("machine"), "token_type": "bearer"}).encode())

    @staticmethod
    def send(request, status, content, **headers):
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    def answer(self, how):
        """From now on by how(request)."""
        self.listener.answer = how

    @property
    def fetches(self):
        return len(self.listener.fetches)

    def section(self, **values):
        trust = {} if self.authority is None else {"keys_ca": self.authority.file}
        return super().section(**{"keys": self.keys_url, **trust, **values})

    def set_of(self, *keys):
        return json.dumps({"keys": [public(key) for key in keys]}).encode()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
        self.thread.join()
