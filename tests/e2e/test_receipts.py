"""Receipts of deletions: signed, checked by another implementation, and given once."""

import json
import os
import subprocess
import time

import pytest
import requests
from jwcrypto import jwk, jws

from harness import REPORTD, failed, poll, refused

HEADER = "X-Deletion-Receipt"
TYPE = "deletion-receipt+jwt"


def published(url):
    """What anybody gets, without a token."""
    answer = requests.get(url + "/.well-known/jwks.json", timeout=30)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    return answer.text


def checked(receipt, keys):
    """The claims of a receipt, as jwcrypto reads them; it raises if the receipt is not genuine."""
    token = jws.JWS()
    token.deserialize(receipt)
    header = token.jose_header
    assert header["alg"] == "EdDSA" and header["typ"] == TYPE
    token.verify(jwk.JWKSet.from_json(keys).get_key(header["kid"]))
    return json.loads(token.payload)


def receipt_verb(folder, *words, stdin=""):
    return subprocess.run([REPORTD, "receipt", *words], cwd=folder, input=stdin, text=True,
                          capture_output=True, timeout=30)


def deleted(client, reference):
    answer = client.delete(reference)
    assert answer.json() == {"result": True, "message": "Report request has been deleted.", "data": {}}
    return answer.headers[HEADER]


def reports_in_every_state(client):
    """References by state; two workers are taken by what runs."""
    complete, error = client.complete("Quick", ProductID="1"), client.order("Quick", ProductID="99")
    client.finish(error)
    running = [client.order("Endless"), client.order("Endless")]
    for reference in running:
        client.wait_for(reference, "processing")
    return {"complete": complete, "error": error, "processing": running[0],
            "queued": client.order("Quick", ProductID="1")}


def test_a_deletion_in_every_state_is_answered_with_a_receipt_that_jwcrypto_checks(server, alice):
    keys = published(server.url)
    for state, reference in reversed(reports_in_every_state(alice).items()):
        before = int(time.time())
        claims = checked(deleted(alice, reference), keys)
        assert claims.pop("node")
        assert before <= claims["iat"] <= time.time()
        assert claims == {"sub": "alice", "reference": reference, "state": state,
                          "iat": claims["iat"], "erasedBy": claims["iat"] + 5}


def test_what_was_not_deleted_has_no_receipt(server, alice, bob):
    reference = alice.complete("Quick", ProductID="1")
    unknown = "00000000-0000-7000-8000-000000000000"
    for answer in (bob.delete(reference), alice.delete(unknown)):
        refused(answer)
        assert HEADER not in answer.headers
    answer = alice.delete(reference, {"Version": "1.0"})
    failed(answer, 400)
    assert HEADER not in answer.headers
    deleted(alice, reference)
    again = alice.delete(reference)
    refused(again)
    assert HEADER not in again.headers


def test_a_user_of_any_name_gets_a_receipt(server):
    name = "ż\"\\" + "n" * 200
    server.add_user(name)
    client = server.client(name)
    receipt = deleted(client, client.complete("Quick", ProductID="1"))
    assert checked(receipt, published(server.url))["sub"] == name


def test_the_verb_checks_a_receipt_and_prints_its_claims(server, alice, tmp_path):
    reference = alice.complete("Quick", ProductID="1")
    receipt = deleted(alice, reference)
    (tmp_path / "jwks.json").write_text(published(server.url))
    file = tmp_path / "receipt.jws"
    file.write_text(f"{receipt}\n")
    for done in (receipt_verb(server.folder, receipt),
                 receipt_verb(server.folder, stdin=f"  {receipt}\r\n"),
                 receipt_verb(server.folder, "-", stdin=receipt),
                 receipt_verb(server.folder, str(file)),
                 receipt_verb(tmp_path, "--jwks", "jwks.json", receipt)):
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == checked(receipt, published(server.url))


def test_the_verb_checks_several_receipts_one_on_each_line(server, alice, tmp_path):
    receipts = [deleted(alice, alice.complete("Quick", ProductID="1")) for _ in range(3)]
    claims = [checked(receipt, published(server.url)) for receipt in receipts]
    file = tmp_path / "receipts"
    file.write_text("\n".join(receipts))
    for done in (receipt_verb(server.folder, str(file)), receipt_verb(server.folder, stdin="\n\r\n".join(receipts) + "\n\n")):
        assert done.returncode == 0 and [json.loads(line) for line in done.stdout.splitlines()] == claims, done.stderr
    done = receipt_verb(server.folder, stdin="\n".join([receipts[0], "", receipts[1][:-1], "nonsense", receipts[2]]))
    assert done.returncode == 1 and [json.loads(line) for line in done.stdout.splitlines()] == [claims[0], claims[2]]
    complaints = done.stderr.splitlines()
    assert ["line 3: " in complaints[0], "line 4: " in complaints[1]] == [True, True]
    assert complaints[2:] == ["reportd receipt: 2 of 4 receipts are not genuine"]
    done = receipt_verb(server.folder, stdin=receipts[0] + "\n" + "x" * 100000)
    assert done.returncode == 1 and "line 2 is longer than any receipt" in done.stderr


def test_the_verb_refuses_what_is_not_genuine(server, alice, tmp_path):
    receipt = deleted(alice, alice.complete("Quick", ProductID="1"))
    head, payload, signature = receipt.split(".")
    other = deleted(alice, alice.complete("Quick", ProductID="1")).split(".")
    for forged in (f"{head}.{other[1]}.{signature}", f"{head}.{payload}.{other[2]}", f"{head}.{payload}.",
                   receipt[:-1], alice.token, "", "nonsense"):
        done = receipt_verb(server.folder, stdin=forged)
        assert done.returncode == 1 and done.stdout == "" and done.stderr, forged
    strange = jwk.JWK.generate(kty="OKP", crv="Ed25519").export_public(as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [strange]}))
    done = receipt_verb(tmp_path, "--jwks", "jwks.json", receipt)
    assert done.returncode == 1 and "not among the known" in done.stderr
    assert receipt_verb(tmp_path, "--jwks", "missing.json", receipt).returncode == 1
    assert receipt_verb(server.folder, receipt, receipt).returncode == 2
    for name, words in (("nothing.jws", "neither"), ("/no/where.a.b", "neither"), (os.devnull, "has no receipt")):
        done = receipt_verb(server.folder, name)
        assert done.returncode == 1 and words in done.stderr


def test_receipts_signed_elsewhere_by_the_same_key_are_told_apart_by_their_type(server):
    """The private key itself, in other hands than reportd's: only what says that it is a receipt is one."""
    key = jwk.JWK(**json.loads((server.folder / "receipt.key").read_text())["keys"][0])
    kid = json.loads(published(server.url))["keys"][0]["kid"]
    assert key.thumbprint() == kid

    def signed(**header):
        token = jws.JWS(json.dumps({"sub": "alice"}))
        token.add_signature(key, None, json.dumps({"alg": "EdDSA", "kid": kid, **header}))
        return token.serialize(compact=True)

    assert receipt_verb(server.folder, signed(typ=TYPE)).returncode == 0
    assert receipt_verb(server.folder, signed()).returncode == 1
    assert receipt_verb(server.folder, signed(typ="JWT")).returncode == 1


@pytest.mark.parametrize("damage, words", [
    (lambda path: path.write_text("{}"), "Put back a copy"),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), "Put back a copy"),
    (lambda path: path.write_bytes(b"x" * 100_000), "too long"),
    (lambda path: path.chmod(0o640), "chmod 600"),
    (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
    (lambda path: (path.unlink(), path.symlink_to("/nonexistent/folder/key")), "No such file"),
])
def test_a_key_file_that_cannot_be_used_is_refused_at_the_start(make_server, damage, words):
    server = make_server()
    assert server.stop() == 0
    damage(server.folder / "receipt.key")
    with pytest.raises(AssertionError, match="did not start") as error:
        server.start()
    assert words in str(error.value) and "receipt.key" in str(error.value)


def test_the_path_of_the_keys_matches_byte_for_byte(server, alice):
    for path in ("/.Well-Known/jwks.json", "/.well-known/JWKS.json", "/.well-known/jwks.json/", "/METRICS"):
        failed(alice.get(path), 404)
    failed(alice.call("POST", "/.well-known/jwks.json"), 405)


def test_a_receipt_is_kept_nowhere(make_server):
    server = make_server()
    alice = server.client("alice")
    reference = alice.complete("Quick", ProductID="1")
    _, payload, signature = deleted(alice, reference).split(".")

    def has(text):
        return [path.name for path in server.folder.rglob("*")
                if path.is_file() and path != server.log and text.encode() in path.read_bytes()]

    poll(lambda: not has(reference), what="erasure")
    assert not has(signature) and not has(payload)
    assert signature not in server.log_text() and payload not in server.log_text()


def test_every_node_signs_with_the_key_that_all_share(make_cluster):
    cluster = make_cluster(nodes=2)
    clients = cluster.clients("alice")
    keys = published(clients[0].url)
    assert published(clients[1].url) == keys
    for client, other in (clients, reversed(clients)):
        reference = other.complete("Quick", ProductID="1")
        claims = checked(deleted(client, reference), keys)
        assert claims["reference"] == reference and claims["state"] == "complete"
        assert claims["erasedBy"] == claims["iat"] + 2 * 3600  # twice erase_after
