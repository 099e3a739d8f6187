"""What the columns of all tables have in common."""

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, MetaData, SmallInteger, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only when the key's type is called INTEGER; there it holds 64 bits all the same.
Id = BigInteger().with_variant(Integer, "sqlite")


def text_column(name: str) -> Column[str]:
    """A text that is empty unless it is said."""
    return Column(name, Text, nullable=False, server_default=text("''"))


def count_column(name: str) -> Column[int]:
    """A whole number of 64 bits that is 0 unless it is said."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def sum_column(name: str) -> Column[float]:
    """A double that is 0 unless it is said."""
    return Column(name, Double, nullable=False, server_default="0")


def body_columns(prefix: str) -> list[Column[str] | Column[bytes] | Column[int]]:
    """A captured body: a prefix of `size` bytes, as it was on the wire, with its content type and encoding; and how it is stored
    (`store.bodies`)."""
    return [
        text_column(f"{prefix}_type"),
        text_column(f"{prefix}_encoding"),
        text_column(f"{prefix}_stored"),
        Column(f"{prefix}_body", LargeBinary, nullable=False),
        count_column(f"{prefix}_size"),
    ]


def kept_columns() -> list[Column[int]]:
    """Whether a row's bodies were kept, and the chance of it in basis points."""
    return [
        Column("bodies_kept", SmallInteger, nullable=False, server_default="1"),
        Column("bodies_share", BigInteger, nullable=False, server_default="10000"),
    ]
