"""What a browser shows in place of the key: a signed cookie for some hours, and a token in every form that only its own pages have.

A session is `EXPIRES.NONCE.SIGNATURE`. It is signed with what is made from the key, so every control plane with that key takes it,
also after a restart, and another key ends all of them. Without a key there is nothing to sign in to; then the cookie only ties
forms to the browser that was shown them.
"""

import hashlib
import hmac
import secrets

from starlette.requests import cookie_parser

COOKIE = "modelctl"
LASTS = 12 * 3_600_000_000
"""Microseconds."""
_ROUNDS = 100_000
_LONGEST = 200


class Sessions:
    """`key` is empty where none is needed. Times are Unix microseconds."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        salt = b"modelctl session"
        self._secret = hashlib.pbkdf2_hmac("sha256", self._key, salt, _ROUNDS) if key else secrets.token_bytes(32)

    @property
    def needed(self) -> bool:
        """Whether a browser has to sign in."""
        return bool(self._key)

    def opens(self, key: str) -> bool:
        """Whether this is the key."""
        return self.needed and hmac.compare_digest(key.encode(), self._key)

    def begin(self, at: int) -> str:
        """The cookie of a new session."""
        expires = at + LASTS if self.needed else 0
        content = f"{expires}.{secrets.token_urlsafe(16)}"
        return f"{content}.{self._mark('session', content)}"

    def holds(self, cookie: str, *, at: int) -> bool:
        """Whether the cookie is of a session that has not ended."""
        content, _, signature = cookie[:_LONGEST].rpartition(".")
        expires = content.partition(".")[0]
        if not expires.isdecimal() or not hmac.compare_digest(signature.encode(), self._mark("session", content).encode()):
            return False
        return not self.needed or at < int(expires)

    def token(self, cookie: str) -> str:
        """What the forms of that browser carry."""
        return self._mark("form", cookie)

    def issued(self, cookie: str, token: str) -> bool:
        """Whether a form with that token was shown to that browser."""
        return hmac.compare_digest(token.encode(), self.token(cookie).encode())

    def _mark(self, purpose: str, content: str) -> str:
        return hmac.new(self._secret, f"{purpose}\0{content}".encode(), hashlib.sha256).hexdigest()


def cookie_in(header: str) -> str:
    """The session in a Cookie field; empty without one. Other programs on this host may set cookies of any form beside it."""
    return cookie_parser(header).get(COOKIE, "")
