"""NKeys, and credentials that an operator has signed, made as the tool ``nsc`` makes them."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import nkeys
from attrs import frozen

OPERATOR, ACCOUNT, USER = (
    nkeys.PREFIX_BYTE_OPERATOR,
    nkeys.PREFIX_BYTE_ACCOUNT,
    nkeys.PREFIX_BYTE_USER,
)


@frozen
class Key:
    """A key pair: its public name, and the seed of both."""

    seed: bytes

    @classmethod
    def made(cls, kind: int) -> "Key":
        return cls(bytes(nkeys.encode_seed(os.urandom(32), kind)))

    @property
    def public(self) -> str:
        name: str = nkeys.from_seed(bytearray(self.seed)).public_key.decode()
        return name

    def signed(self, subject: str, what: dict[str, Any], **claims: Any) -> str:
        """Give a JWT (RFC 7519) of NATS, which says *what* of *subject*."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "jti": "made-by-a-test", "iat": 1_700_000_000, "iss": self.public,
            "name": "test", "sub": subject, "nats": {"version": 2, **what}, **claims,
        }  # fmt: skip
        text = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(body).encode())}"
        return f"{text}.{_encoded(nkeys.from_seed(bytearray(self.seed)).sign(text.encode()))}"


@frozen
class Operator:
    """An operator with one account, which may use JetStream."""

    key: Key
    account: Key

    @classmethod
    def made(cls) -> "Operator":
        return cls(Key.made(OPERATOR), Key.made(ACCOUNT))

    def server_lines(self) -> str:
        """Give what a server needs to know of it."""
        operator = self.key.signed(self.key.public, {"type": "operator"})
        limits = {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True,
            "conn": -1, "leaf": -1,
        }  # fmt: skip
        storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        system = Key.made(ACCOUNT).public
        accounts = {self.account.public: {**limits, **storage}, system: limits}
        signed = [
            f"{name}: {self.key.signed(name, {'type': 'account', 'limits': found})}"
            for name, found in accounts.items()
        ]
        return (
            f"operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {', '.join(signed)} }}\n"
        )

    def write_credentials(self, file: Path, *, expires: float | None = None) -> None:
        """Write a ``.creds`` file of a user; it holds until *expires*, seconds of the epoch."""
        user = Key.made(USER)
        claims = {} if expires is None else {"exp": int(expires)}
        what = {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        token = self.account.signed(user.public, what, **claims)
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n"
            "------END USER NKEY SEED------\n"
        )


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
