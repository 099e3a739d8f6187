"""The table of answers to commands that may be sent twice."""

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from modelctl.store.columns import count_column, metadata

answer = Table(
    "answer",
    metadata,
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    count_column("status"),
    Column("headers", Text, nullable=False, server_default="{}"),
    Column("body", LargeBinary, nullable=False),
)
"""What commands with an Idempotency-Key were answered, for a day. `status` is 0 while the command is under way; `headers` is a JSON
object."""
