"""Requests as they stand, over any socket: Unix sockets, TLS, another source address."""

import socket

from harness import PASSWORD, PATIENCE


def port_of(url):
    return int(url.rpartition(":")[2].rstrip("/"))


def connect(server, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port_of(server.url)), PATIENCE, (source, 0))


def connect_unix(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    return client


def talk(client, method, path, headers=(), body=""):
    """Status, headers and body of one request; the connection is closed."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Version: 2.0", "Connection: close",
             *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    with client:
        client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
    head, _, text = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, text


def log_in(client, user, headers=(), query=""):
    """Status and headers of a login."""
    return talk(client, "POST", "/User/Login" + query, headers, f'{{"username": "{user}", "password": "{PASSWORD}"}}')[:2]
