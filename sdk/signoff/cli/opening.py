"""`signoff open`: the server's pages in a browser, signed in as the reviewer."""

from urllib.parse import urlsplit

import click

from signoff.cli import times
from signoff.cli.failures import untrusted
from signoff.cli.options import connect, shared
from signoff.cli.output import document, note
from signoff.cli.replies import SIGN_IN_LINK
from signoff.protocol.visible import visible


@click.command("open")
@click.option("--browser/--no-browser", default=True, help="Open it here, too. [default: yes, without --json]")
@shared
def open_(browser: bool, url: str | None, as_json: bool) -> None:
    """Open the pages of signoff dev in a browser, signed in by a link that works once."""
    made = connect(url).post("/v1/sign-in-links", {}, SIGN_IN_LINK)
    if as_json:
        document(made)
        return
    address = made["url"]
    if urlsplit(address).scheme not in ("http", "https") or visible(address) != address:
        raise untrusted("its link is none that a browser should open")
    note(f"This link signs you in, once, until {times.shown(made['expires_at'])}:")
    click.echo(address)
    if browser:
        # Whoever has none was told the link.
        import webbrowser

        webbrowser.open(address)
