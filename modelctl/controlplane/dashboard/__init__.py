"""The dashboard: pages for people over the same operations as the API. A page's form is a call of the API, made in this process."""
