"""The data plane: parses, decides, forwards, copies and writes down. It knows the routing table and nothing of rollouts.

One proxied request, callbacks all the way (no task per request):

    client.ClientConnection   bytes of a client -> head.RequestHead
    guard                     refuses what must not be forwarded
    table.CompiledTable       host and path -> CompiledRoute; unit -> Decision
    admission.Gate            what the route lets in: paths, keys, sizes, rations (rate.Rations)
    exchange.Exchange         one request and its answer: sends to the arm, streams back, keeps bounded copies
    target.Target             one backend: its limits and what waits for room (room), which endpoint is asked (roster, balance,
                              ejection, health), where that is (addresses)
    pool, upstream            connections to one endpoint; watch: what its answers say about it
    shadow.ShadowCopy         the same request to an arm that is shown it, on its own connections and limits
    spool.Spool               what happened, appended to disk by a thread; sync_spool, sync_client: answers that wait for that

`worker` owns the process: the listening socket, the coarse clock, the current table, the drain.
"""
