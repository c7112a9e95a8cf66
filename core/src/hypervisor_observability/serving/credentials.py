"""Who may read: a user with a password, or whoever has the token."""

import base64
import binascii
import hashlib
import hmac

from attrs import frozen

from ..config import Secret


@frozen
class Credentials:
    """What a client has to show; nothing where neither is set, one of the two where both are.

    Attributes:
        username: For basic authentication (RFC 7617).
        password: The user's; None: no user is let in.
        bearer_token: For a bearer token (RFC 6750).
    """

    username: str = ""
    password: Secret | None = None
    bearer_token: Secret | None = None

    @property
    def are_asked_for(self) -> bool:
        """Whether anything has to be shown."""
        return self.password is not None or self.bearer_token is not None

    @property
    def wanted(self) -> str:
        """What a client has to show, for people."""
        shown = []
        if self.password is not None:
            shown.append("the user and password")
        if self.bearer_token is not None:
            shown.append("the token")
        return f"show {' or '.join(shown)}, in the header Authorization"

    def challenges(self, realm: str) -> list[str]:
        """Give the values of ``WWW-Authenticate`` that go with a refusal.

        Args:
            realm: What the credentials are for; without quotes.
        """
        challenges = []
        if self.password is not None:
            challenges.append(f'Basic realm="{realm}", charset="UTF-8"')
        if self.bearer_token is not None:
            challenges.append(f'Bearer realm="{realm}"')
        return challenges

    def admit(self, authorization: str | None) -> bool:
        """Tell whether the header ``Authorization`` shows what is asked for.

        Takes as long for what is nearly right as for what is not right at all.
        """
        if not self.are_asked_for:
            return True
        scheme, _, shown = (authorization or "").partition(" ")
        shown = shown.strip(" ")
        # Both are computed always, so that the time tells nothing of what is set.
        by_password = self._is_password(shown)
        by_token = _equal(shown, self.bearer_token)
        match scheme.lower():
            case "basic":
                return by_password
            case "bearer":
                return by_token
            case _:
                return False

    def _is_password(self, shown: str) -> bool:
        try:
            text = base64.b64decode(shown, validate=True).decode()
        except (binascii.Error, ValueError):  # UnicodeDecodeError is one
            text = ""
        username, _, password = text.partition(":")
        is_user = _equal(username, Secret(self.username))
        is_password = _equal(password, self.password)
        return is_user and is_password


def _equal(shown: str, expected: Secret | None) -> bool:
    """Compare in a time that depends on neither text, nor on how long they are."""
    right = "" if expected is None else expected.reveal()
    same = hmac.compare_digest(_digest(shown), _digest(right))
    return same and expected is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
