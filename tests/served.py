"""The real server as a process, whole or with a planted fault: ``python tests/served.py FAULT`` serves by the environment's settings."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import uvicorn

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.serving.app import create_app
from otklik.serving.observe import configure_logging
from otklik.serving.settings import Settings
from otklik.taxonomy.model import Taxonomy


class Server:
    """``url``; ``stop`` gives the exit code."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def classify(self, *texts: str, engine: str = "auto", **headers: str) -> httpx.Response:
        body = {"items": [{"text": text} for text in texts], "options": {"engine": engine}}
        return httpx.post(f"{self.url}/v1/classify", json=body, headers=headers, timeout=60)

    def wait(self, *statuses: str, seconds: float = 40) -> dict[str, Any]:
        """Until readiness says one of them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found: dict[str, Any] = self.get("/health/ready").json()
            if found["status"] in statuses and found["reason"] != "model_loading":
                return found
            time.sleep(0.05)
        raise TimeoutError(f"never {statuses}, last {found}")

    def metric(self, name: str) -> float:
        """The sum over all labels that the name does not give."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def stop(self, number: int = signal.SIGTERM, seconds: float = 40) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def served(folder: Path, fault: str = "", **settings: object) -> Iterator[Server]:
    """``settings`` as in `otklik.serving.settings`; ``folder`` gets the log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTKLIK_")},
        **{f"OTKLIK_{name.upper()}": str(value) for name, value in settings.items()},
        "OTKLIK_PORT": str(port),
    }
    command: Sequence[str] = [sys.executable, __file__, fault] if fault else [sys.executable, "-m", "otklik.serving", "serve"]
    log = folder / "server.log"
    with log.open("wb") as opened:
        process = subprocess.Popen(command, env=environment, stdout=opened, stderr=opened)
        server = Server(process, f"http://127.0.0.1:{port}", log)
        try:
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if server.get("/health/live").status_code == 200:
                        break
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(log.read_text(encoding="utf-8"))
                time.sleep(0.05)
            yield server
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _serve_with(fault: str) -> None:
    """``raise:2,5`` fails those calls, ``raise:2-`` all from there; ``hang:2`` never comes back from it; ``slow:0.5`` takes longer."""
    kind, _, which = fault.partition(":")

    def hit(number: int) -> bool:
        return any(number >= int(part[:-1]) if part.endswith("-") else number == int(part) for part in which.split(","))

    def load(taxonomy: Taxonomy, settings: Settings) -> Analyzer:
        analyzer = load_analyzer(taxonomy, settings.model, settings.cores)
        analyze_all = analyzer.analyze_all
        calls = -1  # the self-test is call 0

        def faulty(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if kind == "slow" and calls:
                time.sleep(float(which))
            elif kind != "slow" and hit(calls):
                if kind == "raise":
                    raise RuntimeError("planted")
                time.sleep(3600)
            return analyze_all(*arguments)

        analyzer.analyze_all = faulty  # type: ignore[method-assign]
        return analyzer

    settings = Settings()
    configure_logging()
    uvicorn.run(create_app(settings, load), host=settings.host, port=settings.port, log_config=None, access_log=False)


if __name__ == "__main__":
    _serve_with(sys.argv[1])
