"""What a command does to the catalog: one function and one transaction each.

Load, decide (pure), save, write the history, compile and publish the next table. An operation that raises changed nothing.
Time and chance come in with the arguments.
"""
