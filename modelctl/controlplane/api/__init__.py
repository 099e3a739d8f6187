"""The control API on Starlette: one table of calls (`calls`), from which the routes and the OpenAPI document are made."""
