"""Registers hostile files with a server of this process, and prints what the interpreter reached meanwhile.

`python -m tests.e2e.audited DATABASE`: one line of JSON, the answers and the audit events (PEP 578) of what opens a
file, a socket or a process, or brings code in.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.support.project import Project, serving

REACHES: Final = (
    *("open", "os.", "shutil.", "tempfile.", "glob.", "socket.", "urllib.", "http.", "ftplib.", "smtplib."),
    *(
        "subprocess.",
        "pty.",
        "fcntl.",
        "ctypes.",
        "import",
        "exec",
        "compile",
        "sqlite3.connect",
        "pickle.",
        "marshal.",
    ),
)
TOOLS: Final = ("os.system", "subprocess/Popen", "builtins.eval", "file/etc/passwd", "http.evil.example", "tools.py")
HOSTILE: Final = (
    "workflow: !!python/object/apply:os.system ['true']",
    "!!python/name:os.system",
    "workflow: !include /etc/passwd",
    "<<: *everything",
    "a: &a [*a, *a]",
    '{"$ref": "file:///etc/passwd"}',
    "nodes: {a: {type: tool, tool_ref: '${{ open(\"/etc/passwd\") }}', next: end}}",
)
SCHEMAS: Final = (
    '{$ref: "http://evil.example/schema.json"}',
    '{$ref: "file:///etc/passwd"}',
    '{$schema: "http://evil.example/meta", type: object}',
    '{$id: "http://evil.example/", $ref: "other.json"}',
    '{$dynamicRef: "http://evil.example/x#y"}',
    '{type: object, properties: {a: {type: string, format: hostname, pattern: "^x+$"}}}',
)
YAML: Final = {"Content-Type": "application/yaml"}


def files() -> list[str]:
    head = "workflow: {{id: a{at}, version: 1.0.0, start: a{more}}}\nnodes:\n  "
    head += "a: {{type: tool, tool_ref: {tool}, next: end"
    body = ", input: {x: '${{ input.path + \"/etc/passwd\" }}', url: 'http://evil.example/'}}\n"
    made = [head.format(at=at, more="", tool=tool) + body for at, tool in enumerate(TOOLS)]
    return made + [
        head.format(at=50 + at, more=f", input_schema: {schema}", tool="x") + body for at, schema in enumerate(SCHEMAS)
    ]


def story(project: Project) -> list[int]:
    """Everything that takes a file, with files that want to reach something; answers the statuses."""
    found: list[Any] = []
    for source in (*files(), *HOSTILE):
        for who, method, path in (
            ("starter", "POST", "/v1/workflows"),
            ("starter", "POST", "/v1/workflows?on_conflict=build"),
            ("starter", "POST", "/v1/workflows/validate"),
            ("admin", "PUT", "/v1/policy"),
        ):
            found.append(project.call(who, method, path, content=source, headers=YAML))
        body = {"name": "os.system", "workflow": source}
        found.append(project.call("starter", "POST", "/v1/policy/judge", json=body))
    return [reply.status_code for reply in found]


def main() -> None:
    reached: list[str] = []
    listening = False

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if listening and event.startswith(REACHES):
            reached.append(f"{event} {given!r:.200}")

    with serving(sys.argv[1], json.loads(sys.stdin.read())) as (warm, project):
        # What is loaded once is loaded by the first; the second finds it there.
        story(warm)
        sys.addaudithook(hear)
        listening = True
        statuses = story(project)
        found, reached = reached, []
        # That it hears at all.
        Path(__file__).read_bytes()
        listening = False
    print(json.dumps({"statuses": statuses, "reached": found, "heard": reached}))


if __name__ == "__main__":
    main()
