"""The product at work, in a minute: `make demo`.

Real processes, real kills. Whatever stands behind a `|` was said by a server, an application or the command line; the
sentences between say what is being done. It ends with exit code 1 if anything was lost or doubled.
"""

import time

from demo_approvals import Approvals
from demo_dashboard import Dashboard
from demo_stage import say, stage
from demo_workflows import Workflows


def main() -> None:
    started = time.monotonic()
    say("ACT ONE: code that asks.")
    with stage("approvals") as folder:
        Approvals(folder).run()
    say("ACT TWO: a workflow that parks.")
    with stage("workflows") as folder:
        Workflows(folder).run()
    say("ACT THREE: a reviewer at a browser.")
    with stage("dashboard") as folder:
        Dashboard(folder).run()
    print(f"\nThat took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
