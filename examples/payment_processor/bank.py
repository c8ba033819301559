"""A bank for the example: it knows two payments, and pays each idempotency key once.

    BANK_URL=http://127.0.0.1:8686 BANK_TOKEN=… python bank.py

What it has paid stands in bank.jsonl.
"""

import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PAYMENTS = {
    "pay_1001": {"payee": "Nordwind Logistik GmbH", "iban": "DE89370400440532013000", "amount": "1840.00"},
    "pay_1002": {"payee": "Atelier Lumen SARL", "iban": "FR1420041010050500013M02606", "amount": "12500.00"},
}


class Ledger:
    """One line for each transfer; a key that was paid gets its first answer again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._paid: dict[str, Any] = {line["key"]: line for line in map(json.loads, lines)}

    def pay(self, key: str, payment: Any) -> Any:
        if key not in self._paid:
            line = {"key": key, "number": len(self._paid) + 1, "payment": payment}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self._paid[key] = line
        return self._paid[key]


class Handler(BaseHTTPRequestHandler):
    ledger: Ledger
    token: str

    def do_GET(self) -> None:
        payment = self.path.removeprefix("/payments/")
        if not self._knows_who_asks():
            self._answer(401, {"error": "the token is not the bank's"})
        elif payment in PAYMENTS:
            self._answer(200, {"payment_id": payment, "currency": "EUR", **PAYMENTS[payment]})
        else:
            self._answer(404, {"error": f"there is no payment {payment}"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        if not self._knows_who_asks():
            self._answer(401, {"error": "the token is not the bank's"})
        elif self.path == "/transfers" and key:
            self._answer(200, self.ledger.pay(key, json.loads(body)["payment"]))
        else:
            self._answer(400, {"error": "POST /transfers with an Idempotency-Key"})

    def _knows_who_asks(self) -> bool:
        return hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.token}")

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    Handler.token, Handler.ledger = os.environ["BANK_TOKEN"], Ledger(Path("bank.jsonl"))
    url = urlsplit(os.environ["BANK_URL"])
    server = HTTPServer((url.hostname or "127.0.0.1", url.port or 8686), Handler)
    print(f"the bank is open at {url.geturl()}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
