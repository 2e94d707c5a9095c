#!/usr/bin/env python3
"""Writes token.json, the test vectors of docs/token.md, to standard output.

    python3 t/vectors/generate.py > t/vectors/token.json

Written from the format's description alone, with nothing of src/core in it:
two programs that agree are a test, one that agrees with itself is none.
"""

import base64
import hashlib
import hmac
import json
import struct

DESCRIPTION = (
    "Test vectors of docs/token.md, version 1, by t/vectors/generate.py. "
    "A verifier that has the one key {key_id: secret} and expects purpose and "
    "scope must answer result to token at the time now. Where result is ok or "
    "expired, minting from secret, key_id, purpose, scope, minted, random and "
    "expires must give token, and id is its id; elsewhere minted, random, "
    "expires and id are null. secret and random are hexadecimal, scope is text "
    "to be taken as UTF-8, times are Unix seconds. Results in the order of the "
    "checks: malformed, purpose, unknown_key, forged, expired, ok."
)

PURPOSES = {"link": 1, "confirm": 2, "unsubscribe": 3}

SECRET = bytes(range(32))
OTHER = bytes(range(255, 223, -1))
LONG = hashlib.sha512(b"doi test vectors").digest() * 16     # 1,024 bytes
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

MINTED, EXPIRES = 1767225600, 1769817600    # January of 2026, 30 days
MAX = 0xFFFFFFFF


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(token):
    return base64.urlsafe_b64decode(token + "==")


def sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def derive(secret, purpose):
    """RFC 5869; 32 bytes are one round of the expansion."""
    return sha256(sha256(b"", secret), b"doi/v1/" + purpose.encode() + b"\x01")


def mac(key, scope, body):
    scope = scope.encode()
    return sha256(key, struct.pack(">H", len(scope)) + scope + body)[:16]


def mint(secret=SECRET, key_id=1, purpose="link", scope="calendar",
         minted=MINTED, random="0123456789abcdef", expires=EXPIRES, version=1,
         nibble=None):
    body = struct.pack(">BBII", version << 4 | (nibble or PURPOSES[purpose]),
                       key_id, expires, minted) + bytes.fromhex(random)
    return b64(body + mac(derive(secret, purpose), scope, body))


VECTORS = []


def vector(name, secret, key_id, purpose, scope, minted, random, expires, token,
           now, result):
    VECTORS.append({
        "name": name, "secret": secret.hex(), "key_id": key_id,
        "purpose": purpose, "scope": scope, "minted": minted, "random": random,
        "expires": expires, "token": token,
        "id": None if minted is None else token[8:24],
        "now": now, "result": result})


def good(name, now=None, result="ok", **fields):
    f = dict(secret=SECRET, key_id=1, purpose="link", scope="calendar",
             minted=MINTED, random="0123456789abcdef", expires=EXPIRES)
    f.update(fields)
    vector(name, token=mint(**f), now=f["minted"] if now is None else now,
           result=result, **f)


def bad(name, result, token, secret=SECRET, key_id=1, purpose="link",
        scope="calendar", now=MINTED):
    vector(name, secret, key_id, purpose, scope, None, None, None, token, now,
           result)


def flip(byte, bit, token=None):
    data = bytearray(raw(token or mint()))
    data[byte] ^= 1 << bit
    return b64(bytes(data))


good("link")
good("confirm", purpose="confirm")
good("unsubscribe", purpose="unsubscribe")
good("scope: empty", scope="")
good("scope: one character", scope="/")
good("scope: a path", scope="/book/room 4?day=1&x=%20")
good("scope: shell characters", scope="$(id) `id` \"'\\ * \\n %s")
good("scope: UTF-8", scope="Café Zürich – 予約 📅")
good("scope: decomposed UTF-8 is another scope", scope="Cafe\u0301")
good("scope: 300 characters", scope="calendar-0" * 30)
good("scope: 255 bytes", scope="s" * 255)
good("scope: 256 bytes", scope="s" * 256)
good("key id 0", key_id=0)
good("key id 255", key_id=255)
good("secret: 33 bytes", secret=SECRET + b"\x20")
good("secret: 64 bytes", secret=SECRET + OTHER)
good("secret: 65 bytes", secret=SECRET + OTHER + b"\x00")
good("secret: 1,024 bytes", secret=LONG)
good("random: zeros", random="00" * 8)
good("random: ones", random="ff" * 8)
good("valid in its last second", now=EXPIRES - 1)
good("the mint time is not checked", now=0)
good("minted at 0", minted=0)
good("expires at 1", minted=0, expires=1)
good("the last second of the format", minted=MAX, expires=MAX, now=MAX - 1)
good("the longest life", minted=0, expires=MAX)
good("expired: now is expires", now=EXPIRES, result="expired")
good("expired: later", now=MAX, result="expired", purpose="confirm")
good("expired: expires at 0", minted=0, expires=0, result="expired")
good("expired: the end of the format", minted=MAX, expires=MAX,
     result="expired")

t = mint()
bad("malformed: empty", "malformed", "")
bad("malformed: 45 characters", "malformed", t[:45])
bad("malformed: 47 characters", "malformed", t + "A")
bad("malformed: padded", "malformed", t + "==")
bad("malformed: a line end", "malformed", t + "\n")
bad("malformed: + for -", "malformed", t[:45] + "+")
bad("malformed: /", "malformed", t[:20] + "/" + t[21:])
bad("malformed: percent-encoded", "malformed", "%" + "%02X" % ord(t[0]) + t[1:])
bad("malformed: not ASCII", "malformed", t[:44] + "é")
for n in (1, 2, 4, 8, 15):
    bad("malformed: unused bits %d" % n, "malformed",
        t[:45] + ALPHABET[ALPHABET.index(t[45]) + n])
bad("malformed: version 0", "malformed", mint(version=0))
bad("malformed: version 2", "malformed", mint(version=2))
bad("malformed comes before purpose", "malformed", mint(version=2),
    purpose="confirm")

bad("purpose: link for confirm", "purpose", t, purpose="confirm")
bad("purpose: confirm for link", "purpose", mint(purpose="confirm"))
bad("purpose: unsubscribe for link", "purpose", mint(purpose="unsubscribe"))
bad("purpose: 15", "purpose", mint(nibble=15))
bad("purpose comes before the key", "purpose", t, purpose="confirm", key_id=2)

bad("unknown key", "unknown_key", t, key_id=2)
bad("unknown key comes before the MAC", "unknown_key", flip(33, 0), key_id=2)

bad("forged: another secret", "forged", t, secret=OTHER)
bad("forged: another scope", "forged", t, scope="calendar2")
bad("forged: a scope in capitals", "forged", t, scope="Calendar")
bad("forged: empty scope expected", "forged", t, scope="")
bad("forged: composed for decomposed UTF-8", "forged",
    mint(scope="Cafe\u0301"), scope="Caf\u00e9")
bad("forged: signed with the key of another purpose", "forged",
    mint(purpose="confirm", nibble=1))
bad("forged: a longer life", "forged", flip(2, 7))
bad("forged: another mint time", "forged", flip(9, 0))
bad("forged: another random byte", "forged", flip(17, 0))
bad("forged: first bit of the MAC", "forged", flip(18, 7))
bad("forged: last bit of the MAC", "forged", flip(33, 0))
bad("forged: no MAC", "forged", b64(raw(t)[:18] + bytes(16)))
bad("forged: the last 16 bytes of the MAC", "forged", b64(raw(t)[:18] + sha256(
    derive(SECRET, "link"), b"\x00\x08calendar" + raw(t)[:18])[16:]))
bad("forged: no scope length", "forged", b64(raw(t)[:18] + sha256(
    derive(SECRET, "link"), b"calendar" + raw(t)[:18])[:16]))
bad("forged: secret used as the key", "forged",
    b64(raw(t)[:18] + mac(SECRET, "calendar", raw(t)[:18])))
bad("forged comes before expired", "forged", flip(33, 0), now=MAX)

assert len({v["name"] for v in VECTORS}) == len(VECTORS)
print(json.dumps({"description": DESCRIPTION, "vectors": VECTORS}, indent=2))
