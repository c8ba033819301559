"""What a connection, a request or a key may take of this server: every number that is no setting.

Read where it holds, as `limits.NAME`. Times are in seconds, sizes in bytes.
"""

from typing import Final

KIB: Final = 1024

# ---------------------------------------------------------------- a connection

# For the head of a request: from the opening of the connection, and from the first byte of each later request.
HEAD_SECONDS: Final = 10.0
HEAD_BYTES: Final = 32 * KIB
# For the whole body, from the end of the head.
BODY_SECONDS: Final = 30.0
BODY_BYTES: Final = 256 * KIB
# A body in chunks, with all that frames it: sizes, extensions, trailers.
CHUNKED_BYTES: Final = 4 * BODY_BYTES
# Between an answer and the next request.
IDLE_SECONDS: Final = 15.0
# Requests that were sent before the answer to the first.
PIPELINED: Final = 100
# Whoever has not taken all of an answer takes so much of it in so long, or is cut off.
UNREAD_SECONDS: Final = 10.0
UNREAD_BYTES: Final = 16 * KIB
# After the last answer on a connection, what still comes is read and dropped, lest a reset destroys that answer.
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 1024 * KIB

# ---------------------------------------------------------------- the watch socket

MESSAGE_BYTES: Final = 64 * KIB
FRAGMENTS: Final = 64
PING_SECONDS: Final = 30.0

# ---------------------------------------------------------------- a key

# Approvals that it waits for at a time in this process, by all of its watch sockets and held requests together.
WAITS: Final = 20_000
# Streams of events that it has open at a time in this process.
STREAMS: Final = 100
# How many keys are remembered for the pace at which they create.
PACED_KEYS: Final = 10_000
