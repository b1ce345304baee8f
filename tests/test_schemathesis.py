"""Whatever the published description allows, and what it does not: no failure, no status, type or shape that it does not name.

504 is an answer to a deadline of a millisecond, which the description allows, and no failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from served import served

CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_service_answers_as_its_description_says(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.wait("ready")
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", CHECKS]
        limits = ["--max-examples", "20", "--max-time", "45", "--generation-deterministic", "--request-timeout", "20"]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "ndjson", "PYTHONPATH": str(Path(__file__).parent)}
        result = subprocess.run([*command, *limits], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]
        generated = re.search(r"(\d[\d,]*) generated", result.stdout)
        assert generated, result.stdout[-2000:]
        assert int(generated[1].replace(",", "")) > 100
        assert server.metric("otklik_requests_total") > 100
        assert not re.search(r'otklik_requests_total\{route="[^"]*",status="(50[0-3]|0)', server.get("/metrics").text)
