"""Databases of older programs."""

import io

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade_to(connection: Connection, revision: str) -> None:
    """The schema as it was at a revision, before PostgreSQL's tables were partitioned."""
    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", "modelctl:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
