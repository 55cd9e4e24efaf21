"""Tokens that no server may accept, by what is wrong with each."""

import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from provider import AUDIENCE, b64, new_key, public, signature, token_of

DAY = 86400


def headers_and_algorithms(provider, others):
    """alg none and its spellings, HMAC with what is public, and other algorithms than the key's."""
    for alg in ("none", "None", "NONE", "nOnE", ""):
        head = b64(json.dumps({"alg": alg, "kid": "one"}).encode())
        body = b64(json.dumps(provider.claims()).encode())
        yield f"alg {alg!r} without a signature", f"{head}.{body}."
        yield f"alg {alg!r} with a signature", provider.odd({"alg": alg})
    secrets = {"its PEM": provider.key.export_to_pem(), "its JSON": json.dumps(public(provider.key)).encode(),
               "its bytes": provider.key.export_public().encode(), "the file": provider.file.read_bytes(), "nothing": b""}
    for name, secret in secrets.items():
        for alg in ("HS256", "HS384", "HS512"):
            yield f"{alg} by {name}", provider.odd({"alg": alg}, key=secret, algorithm="HS256")
    for alg in ("ES384", "ES512", "RS384", "RS512", "PS384", "PS512", "ES256K", "Ed25519", "es256", "rs256", "ES256 ", "dir",
                "RSA-OAEP", "ECDH-ES", "RS1", None, 1, True, [], ["ES256"], {"alg": "ES256"}):
        yield f"alg {alg!r}", provider.odd({"alg": alg})
    yield "no alg", provider.odd(drop=("alg",))
    for alg, key in others.items():
        yield f"another one's {alg} key", provider.odd({"alg": alg}, key=key, algorithm=alg)
        if alg != provider.algorithm:
            yield f"{alg} announced, signed otherwise", provider.odd({"alg": alg})
            yield f"signed by {alg}, announced otherwise", provider.odd(key=key, algorithm=alg, header={"alg": provider.algorithm})


def kids(provider):
    for kid in ("two", "ONE", "one ", "one\n", "", "../one", "/dev/null", "one' OR 1=1 --", "one\u200b", "*", "0", "a" * 300, None, 1, True,
                ["one"], {"kid": "one"}):
        yield f"kid {kid!r}", provider.odd({"kid": kid})
    yield "no kid", provider.odd(drop=("kid",))
    own = new_key(provider.algorithm, kid="one")
    yield "its own key in jwk", provider.odd({"jwk": public(own)}, key=own)
    yield "its own key in jku", provider.odd({"jku": "https://evil.example.com/jwks"}, key=own)
    yield "its own key in x5u", provider.odd({"x5u": "https://evil.example.com/cert"}, key=own)
    yield "its own key in x5c", provider.odd({"x5c": ["MIIB"]}, key=own)
    yield "another key of the same kid", provider.odd(key=own)


def odd_headers(provider):
    for name, value in {"crit": ["exp"], "b64": False}.items():
        yield f"header {name}", provider.odd({name: value})
    for value in ([], ["b64"], ["x"], "exp", None):
        yield f"crit {value!r}", provider.odd({"crit": value})
    yield "b64 true", provider.odd({"b64": True})
    yield "crit and b64", provider.odd({"crit": ["b64"], "b64": False})
    for typ in ("logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "", 1, ["JWT"]):
        yield f"typ {typ!r}", provider.odd({"typ": typ})
    good = json.dumps({"alg": provider.algorithm, "kid": "one"})
    for name, text in {"alg": '{"alg":"none",' + good[1:], "kid": good[:-1] + ',"kid":"one"}', "typ": good[:-1] + ',"typ":"JWT","typ":"JWT"}'}.items():
        yield f"header with {name} twice", provider.odd(text.encode())
    for name, text in {"an array": b"[]", "a text": b'"x"', "nothing": b"", "no JSON": b"{", "more behind it": good.encode() + b"{}",
                       "not UTF-8": good.encode().replace(b"one", b"o\xffe"), "behind a byte order mark": b"\xef\xbb\xbf" + good.encode(), "a NUL": good.encode() + b"\0"}.items():
        yield f"header is {name}", provider.odd(text)


def claims(provider):
    now = int(time.time())
    url = provider.url
    for iss in (None, "", url[:-1], url + "/", url.upper(), "https://evil.example.com/", url + "\u200b", [url], {"x": url}, 1, f" {url}"):
        yield f"iss {iss!r}", provider.odd(iss=iss)
    for aud in (None, "", "other", AUDIENCE.upper(), AUDIENCE + " ", [], ["other"], [AUDIENCE, 1], [[AUDIENCE]], {"aud": AUDIENCE}, {AUDIENCE: 1}, 1, True):
        yield f"aud {aud!r}", provider.odd(aud=aud)
    for exp in (None, 0, -1, 1, now - DAY, now - 3600, str(now + 60), True, [now + 60], {}, 1e300, -1e300, 1e16):
        yield f"exp {exp!r}", provider.odd(exp=exp)
    for name in ("nbf", "iat"):
        for value in (now + 3600, str(now), True, [now], {}, -1, 1e300):
            yield f"{name} {value!r}", provider.odd(**{name: value})
    good = json.dumps(provider.claims())
    for name in ("iss", "aud", "sub", "exp", "groups"):
        twice = good[:-1] + f', "{name}": 1, "{name}": {json.dumps(provider.claims().get(name))}}}'
        yield f"{name} twice", provider.odd(payload=twice.encode())
    yield "a member twice further down", provider.odd(payload=(good[:-1] + ', "x": {"y": 1, "y": 2}}').encode())
    for subject in (None, "", 1, True, ["alice"], {"sub": "alice"}, "a" * 256, "a\nb", "a\x1b[2J", "\u202eecila"):
        yield f"sub {subject!r:.40}", provider.odd(subject=subject)
    for name, text in {"an array": b"[]", "null": b"null", "nothing": b"", "no JSON": b"{", "infinite": good[:-1].encode() + b', "x": NaN}',
                       "more behind it": good.encode() + b" {}", "not UTF-8": good.encode().replace(b"alice", b"al\xffce"), "behind a byte order mark": b"\xef\xbb\xbf" + good.encode(), "U+0000": good.encode().replace(b"alice", b"al\\u0000ice"),
                       "deep": good[:-1].encode() + b', "x": ' + b"[" * 2500 + b"]" * 2500 + b"}"}.items():
        yield f"payload is {name}", provider.odd(payload=text)
    yield "8 KiB and more", provider.odd(padding="x" * 6000)


def texts(provider):
    good = provider.token()
    head, body, end = good.split(".")
    for name, text in {"no signature": f"{head}.{body}.", "no last dot": f"{head}.{body}", "no header": f".{body}.{end}", "no payload": f"{head}..{end}",
                       "dots": "..", "five parts": f"{good}.x.y", "four parts": f"{good}.", "a part before": f".{good}",
                       "padding": f"{head}.{body}.{end}=", "padding in the header": f"{head}=.{body}.{end}", "a plus": f"{head}.{body}.{end[:-2]}++",
                       "a blank": f"{head}.{body}. {end}", "a letter more": good + "A", "a letter less": good[:-1],
                       "the signature twice": good + end, "a letter that is none": f"{head}.{body}.{end[:-1]}!",
                       "the header of another": f"{b64(json.dumps({'alg': provider.algorithm, 'kid': 'one'}).encode())}.{body}.{end}"}.items():
        yield f"text: {name}", text
    # What the last letter has beyond the bytes: another letter, the same bytes.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield "a second spelling of the signature", good[:-1] + letters[letters.index(good[-1]) ^ 1]
    for i in range(0, len(end), 9):
        yield f"letter {i} of the signature", f"{head}.{body}.{end[:i]}{'A' if end[i] != 'A' else 'B'}{end[i + 1:]}"
    text = f"{head}.{b64(json.dumps(provider.claims('admin')).encode())}"
    yield "other claims", f"{text}.{end}"
    size = len(signature(provider.key, provider.algorithm, b""))
    for name, data in {"zeros": bytes(size), "ones": b"\xff" * size, "half": bytes(size // 2), "twice": bytes(2 * size), "one byte": b"\0"}.items():
        yield f"a signature of {name}", f"{text}.{b64(data)}"
    if provider.algorithm == "ES256":
        der = provider.key.get_op_key("sign").sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        yield "a signature in DER", f"{head}.{body}.{b64(der)}"


def forged_tokens(provider, others):
    """Pairs of what is wrong, and a token; `others` are keys of other people by algorithm."""
    yield from headers_and_algorithms(provider, others)
    yield from kids(provider)
    yield from odd_headers(provider)
    yield from claims(provider)
    yield from texts(provider)
    yield "not signed for what it says", token_of(b'{"alg":"ES256","kid":"one"}', json.dumps(provider.claims("x")).encode(), others["ES256"], "ES256")
