"""The worker: tools by name, and the loop that leases work from the server and runs them. The only place that does.

A workflow names tools and never says what they are; that is said here, by the operator of the worker, in `tools.py`
(`@signoff.tool`) and `tools.yaml` (HTTP tools).

Rules of the room: it speaks HTTP only and imports nothing of the server or the command line. Whatever may have had an
effect is never called failed: what cannot be told is `unknown`. Inputs are never logged, secrets never shown. A server
that is away is no error; a report is repeated until it is answered.
"""
