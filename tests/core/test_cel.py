"""The engine of expressions, loaded when it is first needed, by whoever that is."""

import subprocess
import sys
from typing import Final

_FIRST_OF_ALL: Final = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from signoff_server.core import cel

sys.setswitchinterval(1e-6)
together = Barrier(8)


def first(at):
    together.wait()
    return cel.run(f"a + {at}", {"a": 1})


with ThreadPoolExecutor(8) as threads:
    print(sorted(threads.map(first, range(8))))
"""


def test_several_threads_may_be_the_first() -> None:
    done = subprocess.run([sys.executable, "-c", _FIRST_OF_ALL], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(list(range(1, 9))), done.stderr
