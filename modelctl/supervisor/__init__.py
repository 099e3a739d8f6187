"""One machine's processes: opens the sockets they serve, starts them, starts them again, and ends them in order.

    python -m modelctl.supervisor                          everything: control plane, recorder, router workers
    python -m modelctl.supervisor --only router --control-url http://host:8900      router workers and their recorder's spool

The listening sockets are opened once, here, and inherited: a child that dies and comes back never refuses a connection. On
SIGHUP the router workers are replaced one at a time. On SIGTERM the routers drain first, then the recorder empties the spool,
then the control plane ends.
"""
