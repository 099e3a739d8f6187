"""The evidence pipeline: from the spools of the router's workers into the database, every record exactly once."""
