"""What stands on a PostgreSQL table and has to stand on the one that takes its place: views, views on them, and grants."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from modelctl.errors import StoreError

_VIEWS = text("""
WITH RECURSIVE standing AS (
    SELECT to_regclass(:table)::oid AS oid, 0 AS depth
    UNION
    SELECT rule.ev_class, standing.depth + 1
    FROM standing
    JOIN pg_depend ON pg_depend.refobjid = standing.oid AND pg_depend.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite AS rule ON rule.oid = pg_depend.objid AND pg_depend.classid = 'pg_rewrite'::regclass
    WHERE rule.ev_class <> standing.oid
)
SELECT pg_class.oid::regclass::text AS name, pg_class.relkind AS kind, pg_get_viewdef(pg_class.oid) AS query, max(depth) AS depth
FROM standing JOIN pg_class ON pg_class.oid = standing.oid WHERE depth > 0
GROUP BY pg_class.oid, pg_class.relkind ORDER BY depth, name
""")
_GRANTS = text("""
SELECT format('GRANT %s ON %s TO %s%s', privilege_type, CAST(:table AS text),
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
              CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass(:table) AND grantee <> relowner
""")
_OWNER = text(
    "SELECT format('ALTER TABLE %s OWNER TO %I', CAST(:table AS text), pg_get_userbyid(relowner)) "
    "FROM pg_class WHERE oid = to_regclass(:table)"
)


class Dependents(NamedTuple):
    """Names of views, each before those that stand on it, and the statements that make everything anew."""

    views: list[str]
    statements: list[str]

    def drop(self, connection: Connection) -> None:
        """Takes the views away."""
        for view in reversed(self.views):
            connection.exec_driver_sql(f"DROP VIEW {view}")

    def restore(self, connection: Connection) -> None:
        """Makes views and grants on what has the table's name now."""
        for statement in self.statements:
            connection.execute(text(statement.replace(":", "\\:")))


def dependents_of(connection: Connection, table: str) -> Dependents:
    """Raises StoreError when a materialized view is among them: its rows would have to be read again."""
    found = connection.execute(_VIEWS, {"table": table}).all()
    other = [row.name for row in found if row.kind != "v"]
    if other:
        raise StoreError(f"{', '.join(other)} stand on {table}: drop them, upgrade, and make them again")
    statements = [*connection.execute(_OWNER, {"table": table}).scalars(), *_grants(connection, table)]
    for row in found:
        owner = connection.execute(_OWNER, {"table": row.name}).scalars()
        statements += [f"CREATE VIEW {row.name} AS {row.query}", *owner, *_grants(connection, row.name)]
    return Dependents([row.name for row in found], statements)


def _grants(connection: Connection, name: str) -> list[str]:
    return list(connection.execute(_GRANTS, {"table": name}).scalars())
