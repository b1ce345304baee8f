"""Speed of `otklik label` by one process and by Ray's workers on this machine: ``python tests/load/cluster.py a.jsonl --rows 4000``.

Each way labels the same Parquet file as a command of its own. «rows/s» leaves out the start and the end: it counts from the first 512 rows
that are done to the last. In the last run one of two workers is killed in the middle.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))
from clustered import parts, workers_of

from otklik.serving.labeller import BATCH

OUT = Console(width=120)
LOOK = 0.02  # seconds between two looks
STARTED = 2 * BATCH  # rows that are done when all workers, two at most, are at work


@dataclass(frozen=True)
class Measured:
    name: str
    cores: int
    seconds: float
    rows_a_second: float
    same_rows: bool
    killed_at_row: int | None = None


@dataclass(frozen=True)
class Way:
    """``pinned``: to as many cores as it has threads; a local run would use others for its rules."""

    name: str
    cores: int
    options: Sequence[str]
    pinned: bool = False
    kill: bool = False


WAYS = (
    Way("local, 1 core", 1, ["--threads", "1"], pinned=True),
    Way("local, 2 cores", 2, ["--threads", "2"], pinned=True),
    Way("Ray, 1 worker", 1, ["--engine-cluster", "ray", "--workers", "1"]),
    Way("Ray, 2 workers", 2, ["--engine-cluster", "ray", "--workers", "2"]),
    Way("Ray, 2 workers, one killed", 2, ["--engine-cluster", "ray", "--workers", "2"], kill=True),
)


def sample(files: Sequence[Path], rows: int, target: Path) -> int:
    """The same rows every time; gives how many."""
    found = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(found)
    found = found[:rows]
    pq.write_table(pa.table({"id": [str(row.get("id", "")) for row in found], "text": [row["text"] for row in found]}), target)
    return len(found)


def measure(way: Way, source: Path, rows: int, folder: Path, engine: str) -> tuple[Measured, Any]:
    clustered = "--engine-cluster" in way.options
    target = folder / (way.name if clustered else f"{way.name}.parquet")
    done = done_in_parts(folder / f".{target.name}.cluster") if clustered else done_in_journal(folder / f".{target.name}.otklik")
    cores = set(sorted(os.sched_getaffinity(0))[: way.cores])
    command = [sys.executable, "-m", "otklik.serving", "label", str(source), "-o", str(target), "--engine", engine, *way.options]
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    if way.pinned:
        os.sched_setaffinity(process.pid, cores)
    first: tuple[float, int] | None = None
    last, killed = 0.0, None
    while process.poll() is None:
        time.sleep(LOOK)
        count = done()
        if count >= STARTED and not first:
            first = time.perf_counter(), count
        if count >= rows and not last:
            last = time.perf_counter()
        if way.kill and killed is None and count >= rows / 3:
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            killed = count
    ended = time.perf_counter()
    if process.returncode or not first:
        sys.exit(f"{way.name}: {process.stderr.read() if process.stderr else ''}")
    rate = (rows - first[1]) / ((last or ended) - first[0])
    table = parts(target, source.name) if clustered else pq.read_table(target)
    return Measured(way.name, way.cores, round(ended - began, 1), round(rate, 1), same_rows=True, killed_at_row=killed), table


def done_in_parts(folder: Path) -> Callable[[], int]:
    counts: dict[Path, int] = {}

    def done() -> int:
        for part in folder.glob("*.parquet"):
            if part not in counts:
                try:
                    counts[part] = pq.read_metadata(part).num_rows
                except FileNotFoundError:  # the folder has just got its name
                    break
        return sum(counts.values())

    return done


def done_in_journal(path: Path) -> Callable[[], int]:
    def done() -> int:
        try:
            return max(0, path.read_bytes().count(b"\n") - 1)
        except FileNotFoundError:
            return 0

    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="JSON lines with «text»")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--engine", default="auto", help="keyword: to try this script quickly")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.rows < 3 * STARTED:
        parser.error(f"--rows {asked.rows}: less than {3 * STARTED} tell nothing")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = sample(asked.files, asked.rows, folder / "rows.parquet")
        found: list[Measured] = []
        expected = None
        for way in WAYS:
            measured, table = measure(way, folder / "rows.parquet", rows, folder, asked.engine)
            expected = table if expected is None else expected
            found.append(Measured(**asdict(measured) | {"same_rows": bool(table.equals(expected))}))
            OUT.print(found[-1], soft_wrap=True)
    shown = Table("way", "command, s", "rows/s", "speed-up", "same rows")
    alone = {"local": found[0].rows_a_second, "Ray": found[2].rows_a_second}
    for one in found:
        speedup = one.rows_a_second / alone["local" if one.name.startswith("local") else "Ray"]
        shown.add_row(one.name, f"{one.seconds:.1f}", f"{one.rows_a_second:.1f}", f"{speedup:.2f}", "yes" if one.same_rows else "NO")
    OUT.print(f"{rows} rows, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end", shown)
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows, "cores": os.cpu_count(), "ways": [asdict(one) for one in found]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
