"""One reader's way from a stream to an outlet, with exact accounts.

An event passes these on its way, each in a file of its own:

1. A ``Worker`` is what the host starts, flushes and stops. Its ``Lane`` is a thread and the outlet
   that it alone calls; a lane whose hook hangs is given up, and another takes over.
2. The lane's ``Deliverer`` has the ``Account`` read a ``Batch``, which passes the gate and gets the
   spans of the ``SpanMaker``.
3. The batch has one ``Offering`` for each hook that exports. ``HookCalls`` makes the call.
4. The batch tells the ``Ledger`` where each event is now, and the account saves the position.
"""
