"""A transparency log by hand, from the specifications (RFC 6962, c2sp.org/signed-note, tlog-witness) and nothing of ours:
what a witness is asked with, and what it must refuse."""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()


def consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2: PROOF(old, leaves)."""
    if old in (0, len(leaves)):
        return [] if whole or old == 0 else [root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return consistency(old, leaves[:split], whole) + [root(leaves[split:])]
    return consistency(old - split, leaves[split:], False) + [root(leaves[:split])]


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def verifier_key(name: str, kind: int, public: bytes) -> str:
    return f"{name}+{key_id(name, kind, public).hex()}+{base64.b64encode(bytes([kind]) + public).decode()}"


class HandLog:
    def __init__(self, origin: str):
        self.origin, self.key, self.leaves = origin, Ed25519PrivateKey.generate(), []
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def verifier_key(self) -> str:
        return verifier_key(self.origin, 1, self.public)

    def add(self, *entries: str):
        self.leaves += [leaf(entry.encode()) for entry in entries]

    def checkpoint(self) -> str:
        text = f"{self.origin}\n{len(self.leaves)}\n{base64.b64encode(root(self.leaves)).decode()}\n"
        signature = key_id(self.origin, 1, self.public) + self.key.sign(text.encode())
        return f"{text}\n\u2014 {self.origin} {base64.b64encode(signature).decode()}\n"

    def request(self, old: int) -> bytes:
        proof = "".join(base64.b64encode(h).decode() + "\n" for h in consistency(old, self.leaves))
        return f"old {old}\n{proof}\n{self.checkpoint()}".encode()


def cosigned_at(checkpoint: str, line: str, witness_key: str) -> int:
    """The time of a cosignature/v1 line; raises where it does not verify."""
    name, given_id, material = witness_key.split("+", 2)
    public = base64.b64decode(material)
    assert public[0] == 4 and key_id(name, 4, public[1:]).hex() == given_id
    dash, signer, encoded = line.split(" ")
    blob = base64.b64decode(encoded)
    assert (dash, signer, blob[:4].hex()) == ("\u2014", name, given_id)
    time = int.from_bytes(blob[4:12], "big")
    text = checkpoint[:checkpoint.rindex("\n\n") + 1]
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
    return time
