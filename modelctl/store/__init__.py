"""The database: tables, connections, the schema's version. SQLite and PostgreSQL hold the same and answer the same."""
