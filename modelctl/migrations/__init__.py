"""The history of the database's schema, one file per revision. `modelctl.store.schema` runs it."""
