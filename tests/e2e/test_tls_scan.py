"""The server's TLS as testssl.sh sees it: protocols, ciphers and vulnerabilities."""

import json
import shutil
import subprocess

import pytest

from harness import PATIENCE, poll
from raw_http import port_of
from test_tls import made

MINUTES = 15
HARMLESS = {"OK", "INFO", "LOW", "DEBUG"}
# What the scanner's own OpenSSL lacks; and a guess by whether a client that hangs up itself is hung up on in time: below.
NOT_ASKED = {"engine_problem", "secure_client_renego"}
SCAN = ["--protocols", "--std", "--server-preference", "--fs", "--vulnerable"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_testssl_finds_nothing_above_low(tmp_path, kind):
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    assert program, "there is no testssl.sh here"
    server, authority = made(tmp_path / "server")
    authority.issue("scanned", server.folder / "tls.pem", server.folder / "tls.key", kind=kind)
    server.start()
    found = tmp_path / "found.json"
    done = subprocess.run([program, *SCAN, "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
                           "--jsonfile", found, f"127.0.0.1:{port_of(server.url)}"],
                          capture_output=True, text=True, timeout=MINUTES * 60)
    assert server.stop() == 0
    server.check_log()
    findings = json.loads(found.read_text())
    assert len(findings) > 40, done.stdout[-3000:]
    by_id = {finding["id"]: finding for finding in findings}
    assert by_id["TLS1_3"]["severity"] == "OK" and by_id["TLS1"]["severity"] in HARMLESS
    assert [finding for finding in findings
            if finding["severity"] not in HARMLESS and finding["id"] not in NOT_ASKED] == []


@pytest.mark.slow
def test_a_client_that_renegotiates_is_hung_up_on(tmp_path):
    """Each new handshake would cost the server more than the client (CVE-2011-1473)."""
    server, _ = made(tmp_path / "server")
    server.start()
    output = tmp_path / "output"
    with output.open("wb") as written:
        client = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{port_of(server.url)}"],
                                  stdin=subprocess.PIPE, stdout=written, stderr=subprocess.STDOUT)
    poll(lambda: b"Verify return code" in output.read_bytes(), what="the first handshake")
    client.stdin.write(b"R\n")
    client.stdin.flush()
    client.wait(PATIENCE)  # though its input goes on
    assert b"RENEGOTIATING" in output.read_bytes()
    client.stdin.close()
    assert server.stop() == 0
    server.check_log()
