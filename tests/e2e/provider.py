"""An identity provider as reportd sees one: keys, and tokens that they sign."""

import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwcrypto import jwk, jwt

AUDIENCE = "reportd"
LIFE_SECONDS = 600
ALGORITHMS = {"RS256": {"kty": "RSA", "size": 2048}, "PS256": {"kty": "RSA", "size": 2048},
              "ES256": {"kty": "EC", "crv": "P-256"}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"}}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(algorithm="ES256", kid="one", **members):
    return jwk.JWK.generate(**ALGORITHMS[algorithm], kid=kid, **members)


def public(key, **members):
    """The key as a provider publishes it; a member that is None is left out."""
    return {name: value for name, value in {**json.loads(key.export_public()), **members}.items() if value is not None}


def signature(key, algorithm, text):
    """Of any text, whatever it is; `key` is a JWK, or the bytes of an HMAC's secret."""
    if algorithm == "HS256":
        import hmac
        return hmac.digest(key, text, "sha256")
    private = key.get_op_key("sign")
    if algorithm == "EdDSA":
        return private.sign(text)
    if algorithm == "ES256":
        r, s = decode_dss_signature(private.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return private.sign(text, padding.PKCS1v15() if algorithm == "RS256" else pss, hashes.SHA256())


def token_of(header, payload, key, algorithm):
    """Header and payload are bytes as they are to be signed."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(signature(key, algorithm, text.encode()))}"


class Provider:
    """Its keys are in a file of `folder`; give section() to the configuration."""

    def __init__(self, folder, name="corp", algorithm="ES256"):
        self.name = name
        self.url = f"https://{name}.example.com/"
        self.file = folder / f"{name}.jwks"
        self.algorithm = algorithm
        self.key = new_key(algorithm)
        self.publish(self.key)

    def publish(self, *keys):
        self.write(json.dumps({"keys": [public(key) for key in keys]}))

    def write(self, text):
        """Other keys take the place of the file's at once."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(self.file)

    def section(self, **values):
        values = {"url": self.url, "audience": AUDIENCE, "keys": self.file, "groups_claim": "groups", **values}
        return f"issuer {self.name} {{\n" + "".join(f'  {key} = "{value}"\n' for key, value in values.items()) + "}\n"

    def claims(self, subject="alice", **claims):
        now = int(time.time())
        all_claims = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + LIFE_SECONDS, **claims}
        return {name: value for name, value in all_claims.items() if value is not None}

    def token(self, subject="alice", key=None, **claims):
        """As a JOSE library makes it; a claim that is None is left out."""
        key = key or self.key
        made = jwt.JWT(header={"alg": self.algorithm, "kid": key.get("kid"), "typ": "JWT"}, claims=self.claims(subject, **claims))
        made.make_signed_token(key)
        return made.serialize()

    def odd(self, header=None, payload=None, key=None, algorithm=None, drop=(), **claims):
        """One with other members of the header, or other bytes for either part, signed well all the same."""
        key, algorithm = self.key if key is None else key, algorithm or self.algorithm
        if not isinstance(header, bytes):
            members = {"alg": algorithm, "kid": "one", "typ": "JWT", **(header or {})}
            header = json.dumps({name: value for name, value in members.items() if name not in drop}).encode()
        if payload is None:
            payload = json.dumps(self.claims(**claims)).encode()
        return token_of(header, payload, key, algorithm)
