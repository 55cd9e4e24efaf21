"""A real provider: Debian's Glewlwyd, its own tokens, keys over its own https: doc/api.md § Tokens of an identity provider."""

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
import requests

from certificates import Authority
from fake_clock import SECOND
from harness import PATIENCE, Client, opens, poll
from postgres import free_port
from provider import ALGORITHMS, new_key

TABLES = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
MODULES = Path("/usr/lib/glewlwyd")
ADMIN = {"username": "admin", "password": "password"}  # of TABLES
CLIENT = ("machine", "secret of machine")
AGAIN = 31 * SECOND

pytestmark = pytest.mark.slow


class Glewlwyd:
    """Started on a database of its own, with the OpenID Connect plugin, a client, and alice, whose claim `groups` is "clerks"."""

    def __init__(self, folder, algorithm):
        program = shutil.which("glewlwyd")
        assert program, "there is no glewlwyd here"
        folder.mkdir()
        self.folder, self.algorithm = folder, algorithm
        self.url = f"https://127.0.0.1:{free_port()}/"
        self.authority = Authority(folder / "authority")
        self.authority.issue("glewlwyd", folder / "tls.pem", folder / "tls.key")
        with sqlite3.connect(folder / "glewlwyd.db") as db:
            db.executescript(TABLES.read_text())
        self.configure()
        with open(folder / "output", "wb") as output:
            self.process = subprocess.Popen([program, "-c", folder / "glewlwyd.conf"], stdout=output, stderr=output)
        self.session = requests.Session()
        self.session.trust_env = False
        poll(self.is_up, what="the start of glewlwyd")
        self.call("POST", "auth/", json=ADMIN)
        self.keys = [new_key(algorithm, "one", alg=algorithm)]
        self.call("POST", "mod/plugin/", json=self.plugin())
        self.call("POST", "scope/", json={"name": "reportd", "display_name": "reportd", "password_required": False, "scheme": {}})
        self.call("POST", "client/?source=database", json={
            "client_id": CLIENT[0], "client_secret": CLIENT[1], "name": "machine", "confidential": True, "enabled": True, "scope": ["reportd"],
            "token_endpoint_auth_method": ["client_secret_basic"], "authorization_type": ["client_credentials", "password"], "redirect_uri": [self.url]})
        self.call("POST", "user/?source=database", json={"username": "alice", "password": "secret of alice", "name": "clerks", "enabled": True, "scope": ["reportd"]})

    def configure(self):
        values = {"port": int(self.url.split(":")[2].strip("/")), "bind_address": "127.0.0.1", "external_url": self.url, "login_url": "login.html", "api_prefix": "api",
                  "log_mode": "console", "log_level": "INFO", "session_key": "session", "session_expiration": 3600, "admin_scope": "g_admin", "profile_scope": "g_profile",
                  "user_module_path": MODULES / "user", "client_module_path": MODULES / "client", "user_auth_scheme_module_path": MODULES / "scheme",
                  "plugin_module_path": MODULES / "plugin", "hash_algorithm": "SHA512", "secure_connection_key_file": self.folder / "tls.key", "secure_connection_pem_file": self.folder / "tls.pem"}
        lines = [f"{key}={value if isinstance(value, int) else json.dumps(str(value))}" for key, value in values.items()]
        lines += ["use_secure_connection=true", f'database = {{ type = "sqlite3" path = "{self.folder}/glewlwyd.db" }};']
        (self.folder / "glewlwyd.conf").write_text("\n".join(lines) + "\n")

    def is_up(self):
        assert self.process.poll() is None, (self.folder / "output").read_text()
        try:
            return self.session.get(self.url + "config", verify=str(self.authority.file), timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False

    def call(self, method, path, **arguments):
        answer = self.session.request(method, self.url + "api/" + path, verify=str(self.authority.file), timeout=PATIENCE, **arguments)
        assert answer.ok, (path, answer.status_code, answer.text)
        return answer

    def plugin(self):
        """The plugin signs with the first of its keys."""
        keys = {"keys": [json.loads(key.export_private()) for key in self.keys]}
        return {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": {
            "iss": self.url, "jwt-type": "jwks", "jwks-private": json.dumps(keys), "default-kid": self.keys[0].get("kid"), "jwks-show": True, "subject-type": "public",
            "allow-non-oidc": True, "access-token-duration": 600, "refresh-token-duration": 600, "code-duration": 600,
            **{f"auth-type-{kind}-enabled": kind in ("password", "client") for kind in ("code", "token", "id-token", "password", "client", "refresh")},
            "additional-parameters": [{"user-parameter": "name", "token-parameter": "groups"}]}}

    def rotate(self, kid):
        """From now on it signs with a new key, and publishes the last one, too."""
        self.keys = [new_key(self.algorithm, kid, alg=self.algorithm), self.keys[0]]
        self.call("PUT", "mod/plugin/oidc", json=self.plugin())
        self.call("PUT", "mod/plugin/oidc/reset")

    def token(self, **grant):
        grant = grant or {"grant_type": "password", "username": "alice", "password": "secret of alice"}
        return self.call("POST", "oidc/token", data={"scope": "reportd", **grant}, auth=CLIENT).json()["access_token"]

    def section(self):
        jwks = self.session.get(self.url + "api/oidc/.well-known/openid-configuration", verify=str(self.authority.file), timeout=PATIENCE).json()["jwks_uri"]
        return (f'issuer corp {{\n  url = "{self.url}"\n  audience = "reportd"\n  keys = "{jwks}"\n'
                f'  keys_ca = "{self.authority.file}"\n  groups_claim = "groups"\n}}\n')

    def close(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(params=sorted(ALGORITHMS))
def glewlwyd(request, tmp_path):
    provider = Glewlwyd(tmp_path / "glewlwyd", request.param)
    yield provider
    provider.close()


def test_its_tokens_are_accepted_before_and_after_a_new_key(clock, make_server, glewlwyd):
    server = make_server(sections=glewlwyd.section())
    done = server.run("group", "add", "corp:clerks", "--grant", "Quick", "-c", "reportd.conf")
    assert done.returncode == 0, done.stderr
    old = glewlwyd.token()
    client = Client(server.url, f"Bearer {old}")
    assert client.get("/User/Me").json()["data"]["name"].startswith("corp:")
    assert [kind["name"] for kind in client.get("/Report/Types").json()["data"]] == ["Quick"]
    reference = client.complete("Quick", ProductID="1")
    assert client.result(reference).status_code == 200
    machine = Client(server.url, glewlwyd.token(grant_type="client_credentials"))
    assert machine.get("/User/Me").json()["data"]["name"] == "corp:machine" and machine.references() == []
    glewlwyd.rotate("two")
    clock.jump(AGAIN)
    assert opens(server, glewlwyd.token()) and opens(server, old)
    assert Client(server.url, glewlwyd.token()).references() == [reference]
    glewlwyd.rotate("three")
    clock.jump(AGAIN)
    assert opens(server, glewlwyd.token()) and not opens(server, old)
