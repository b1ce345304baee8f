"""What `otklik label` does with large and odd files of real texts: ``python tests/load/batch.py formats|million|kills FILES…``.

Wants ``pip install polars python-calamine``. ``formats``: the texts as Excel, cp1251 CSV, UTF-16 TSV and Parquet, labelled, and opened
again by other libraries than those that wrote, and by LibreOffice. ``million``: so many rows, the rate by tenths, and the peak of
memory. ``kills``: a run that is killed ten times beside one that is not.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine

OTKLIK = str(Path(sys.executable).with_name("otklik"))
COLUMNS = ["Номер", "Дата", "Отзыв", "Оценка", "Город", "Договор"]
CITIES = ["Нижний Новгород", "Орёл", "Ростов-на-Дону", "Йошкар-Ола", ""]
WIDE = 60


def texts(files: Sequence[Path], most: int = 10**9) -> list[str]:
    """In an order that is always the same; no longer than ``most`` characters."""
    found = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    found = sorted({text for text in found if len(text) <= most})
    random.Random(0).shuffle(found)
    return found


def rows(found: Sequence[str]) -> Iterator[list[str]]:
    """With a number that has leading zeros and one that is longer than a float can hold."""
    for number, text in enumerate(found):
        day = f"2026-{1 + number // 28 % 12:02}-{1 + number % 28:02}"
        yield [f"{number:08}", day, text, str(number % 11), CITIES[number % 5], f"40817810{number:012}"]


def labelled(source: Path, target: Path, engine: str) -> float:
    """Seconds of the real command."""
    start = time.perf_counter()
    subprocess.run([OTKLIK, "label", str(source), "-o", str(target), "--engine", engine], check=True, capture_output=True)
    return time.perf_counter() - start


def formats(files: Sequence[Path], engine: str, count: int) -> bool:
    """Prints a line a format; False where anything differs."""
    given = [[cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row] for row in rows(texts(files)[:count])]
    same = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, write, read in (
            ("survey.xlsx", write_excel, read_excel),
            ("cp1251.csv", write_cp1251, read_csv),
            ("utf16.tsv", write_utf16, read_tsv),
            ("wide.parquet", write_parquet, read_parquet),
        ):
            source, target = folder / name, folder / f"labelled-{name}"
            wanted = write(source, given)
            seconds = labelled(source, target, engine)
            problems = differences(wanted, read(target))
            office = by_office(target, [row[2] for row in wanted], folder) if target.suffix in {".xlsx", ".csv"} else "–"
            same = same and not problems and office in {"–", "same", "absent"}
            print(
                f"{name}: {len(wanted)} rows, {len(wanted) / seconds:.0f} rows/s; second library {problems or 'same'}; LibreOffice {office}"
            )
    return same


def write_excel(path: Path, given: list[list[str]]) -> list[list[str]]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Ответы")
    sheet.append(COLUMNS)
    wanted = [clean(row) for row in given]  # what XML cannot hold a spreadsheet cannot hold either
    for row in given:
        cells = []
        for cell in clean(row):
            one = openpyxl.cell.WriteOnlyCell(sheet, cell)
            one.data_type = "s"
            cells.append(one)
        sheet.append(cells)
    book.save(path)
    return wanted


def clean(row: list[str]) -> list[str]:
    return ["".join(char for char in cell if char >= " " or char in "\n\t")[:32_767] for cell in row]


def read_excel(path: Path) -> tuple[list[str], list[list[str]]]:
    sheet = python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python(skip_empty_area=False)
    return [str(cell) for cell in sheet[0]], [[str(cell) for cell in row] for row in sheet[1:]]


def write_cp1251(path: Path, given: list[list[str]]) -> list[list[str]]:
    """With «?» for what the encoding has not, as programs write it."""
    wanted = [[cell.encode("cp1251", "replace").decode("cp1251") for cell in row] for row in given]
    write_csv(path, wanted, "cp1251", ";")
    return safe(wanted)


def write_utf16(path: Path, given: list[list[str]]) -> list[list[str]]:
    write_csv(path, given, "utf-16", "\t")
    return safe(given)


def write_csv(path: Path, given: list[list[str]], encoding: str, delimiter: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(COLUMNS)
        writer.writerows(given)


def safe(given: list[list[str]]) -> list[list[str]]:
    """Customers' words that a spreadsheet would calculate are neutralised by the command."""
    return [[*row[:2], "'" + row[2] if row[2].startswith(("=", "+", "-", "@", "\t")) else row[2], *row[3:]] for row in given]


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    return read_delimited(path, ";")


def read_tsv(path: Path) -> tuple[list[str], list[list[str]]]:
    return read_delimited(path, "\t")


def read_delimited(path: Path, separator: str) -> tuple[list[str], list[list[str]]]:
    raw = path.read_bytes()
    content = raw.decode("utf-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig").encode()
    table = pl.read_csv(content, separator=separator, infer_schema=False).fill_null("")
    return table.columns, [list(row) for row in table.rows()]


def write_parquet(path: Path, given: list[list[str]]) -> list[list[str]]:
    """All kinds of columns, and the same text cells."""
    names = [*COLUMNS, *(f"c{number}" for number in range(WIDE - len(COLUMNS)))]
    makers: list[Any] = [
        lambda n: pa.array(range(n), pa.int64()),
        lambda n: pa.array([number / 7 for number in range(n)], pa.float64()),
        lambda n: pa.array([number % 2 == 0 for number in range(n)]),
        lambda n: pa.array([None if number % 3 else number for number in range(n)], pa.int32()),
        lambda n: pa.array(range(n), pa.timestamp("ms", tz="Europe/Moscow")),
        lambda n: pa.array([bytes([number % 256]) for number in range(n)], pa.binary()),
        lambda n: pa.array([[number, number + 1] for number in range(n)], pa.list_(pa.int64())),
        lambda n: pa.array([f"к{number % 5}" for number in range(n)]).dictionary_encode(),
    ]
    columns = [pa.array(column) for column in zip(*given, strict=True)]
    columns += [makers[number % len(makers)](len(given)) for number in range(WIDE - len(COLUMNS))]
    pq.write_table(pa.Table.from_arrays(columns, names), path, row_group_size=5000)
    return [list(map(str, row)) for row in pl.read_parquet(path).rows()]


def read_parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    table = pl.read_parquet(path)
    return table.columns, [list(map(str, row)) for row in table.rows()]


def differences(wanted: list[list[str]], found: tuple[list[str], list[list[str]]]) -> str:
    """Of the original columns, cell by cell; «» where there are none."""
    names, cells = found
    width = len(wanted[0])
    if len(cells) != len(wanted):
        return f"{len(cells)} rows in place of {len(wanted)}"
    if "otklik_sentiment" not in names or any(
        not row[names.index("otklik_sentiment")] for row, text in zip(cells, wanted, strict=True) if text[2].strip()
    ):
        return "rows without an answer"
    wrong = [
        (number, place)
        for number, (a, b) in enumerate(zip(wanted, cells, strict=True))
        for place in range(width)
        if a[place] != plain(b[place])
    ]
    return f"{len(wrong)} cells differ, the first at {wrong[0]}" if wrong else ""


def plain(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("_x000D_", "")


def by_office(path: Path, wanted: list[str], folder: Path) -> str:
    """Opened by LibreOffice, and the texts compared."""
    if not shutil.which("soffice"):
        return "absent"
    out = folder / "office"
    kind = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1" if path.suffix == ".xlsx" else "xlsx"
    options = ["--infilter=CSV:59,34,76,1,,0,true"] if path.suffix == ".csv" else []
    subprocess.run(
        ["soffice", "--headless", *options, "--convert-to", kind, "--outdir", str(out), str(path)], check=True, capture_output=True
    )
    (made,) = out.glob("*.csv" if path.suffix == ".xlsx" else "*.xlsx")
    if made.suffix == ".csv":
        with made.open(encoding="utf-8-sig", newline="") as file:
            found = [row[2] for row in csv.reader(file)][1:]
    else:
        found = [row[2] for row in read_excel(made)[1]]
    made.unlink()
    found = [plain(text) for text in found]
    if found == wanted:
        return "same"
    return f"{sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))} texts differ"


def write_many(path: Path, found: Sequence[str], count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "text"])
        writer.writerows([number, found[number % len(found)]] for number in range(count))


def million(files: Sequence[Path], engine: str, count: int) -> bool:
    """Prints rows a second by tenths, and the peak of memory of the process."""
    found = texts(files)
    with tempfile.TemporaryDirectory() as temporary:
        source, target = Path(temporary) / "many.csv", Path(temporary) / "out.csv"
        write_many(source, found, count)
        start = time.perf_counter()
        child = subprocess.run(
            [sys.executable, __file__, "--child", str(source), str(target), engine], check=True, capture_output=True, text=True
        )
        told = json.loads(child.stdout)
        print(f"{count} rows, {len(found)} different texts of {sum(map(len, found)) / len(found):.0f} characters, engine {engine}")
        print(f"{time.perf_counter() - start:.0f} s, {count / (time.perf_counter() - start):.0f} rows/s, peak {told['peak_mb']:.0f} MB")
        marks = told["marks"]
        tenths = [max(mark for mark in marks if mark[1] <= count * part / 10) for part in range(11)]
        rates = [(b[1] - a[1]) / max(b[0] - a[0], 1e-9) for a, b in itertools.pairwise(tenths)]
        print(
            "rows/s by tenths of the reading:",
            ", ".join(f"{rate:.0f}" for rate in rates),
            f"; writing {told['seconds'] - marks[-1][0]:.0f} s",
        )
        with target.open(encoding="utf-8-sig", newline="") as file:
            ids = [row[0] for row in csv.reader(file, delimiter=";")][1:]
        return ids == [str(number) for number in range(count)]


def child(source: Path, target: Path, engine: Any) -> None:
    from otklik.nlp.analyzer import Analyzer, load_analyzer
    from otklik.serving.label import label_file
    from otklik.serving.labeller import Labeller
    from otklik.taxonomy.load import load_taxonomy

    taxonomy = load_taxonomy()
    analyzer = Analyzer(taxonomy) if engine == "keyword" else load_analyzer(taxonomy)
    start = time.perf_counter()
    marks: list[tuple[float, int]] = []
    label_file(
        source, target, Labeller(analyzer, engine=engine), progress=lambda done, _: marks.append((time.perf_counter() - start, done))
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"marks": marks, "seconds": time.perf_counter() - start, "peak_mb": peak}))


def kills(files: Sequence[Path], engine: str, count: int) -> bool:
    """Ten times ``kill -9`` at random moments, then the same command once more."""
    found = texts(files, 200)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "many.csv"
        write_many(source, found, count)
        whole = labelled(source, folder / "whole.csv", engine)
        generator = random.Random(3)
        moments = []
        for _ in range(10):
            process = subprocess.Popen(
                [OTKLIK, "label", str(source), "-o", str(folder / "cut.csv"), "--engine", engine], stderr=subprocess.DEVNULL
            )
            moment = generator.uniform(1, max(whole / 8, 4))
            time.sleep(moment)
            process.kill()
            process.wait()
            moments.append(f"{moment:.1f}")
            if (folder / "cut.csv").exists():
                break
        labelled(source, folder / "cut.csv", engine)
        digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in ("whole.csv", "cut.csv")]
        left = sorted(path.name for path in folder.iterdir() if path.name not in {"many.csv", "whole.csv", "cut.csv"})
        print(f"{count} rows, uninterrupted {whole:.0f} s; killed after {', '.join(moments)} s")
        print(f"digests {digests}; left behind: {left or 'nothing'}")
        return digests[0] == digests[1] and not left


def main() -> None:
    """See the module."""
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["formats", "million", "kills"])
    parser.add_argument("files", nargs="+", type=Path, help="JSONL with «text»")
    parser.add_argument("--engine", default="model", choices=["model", "keyword"])
    parser.add_argument("--rows", type=int)
    arguments = parser.parse_args()
    run, count = {"formats": (formats, 10**9), "million": (million, 1_000_000), "kills": (kills, 50_000)}[arguments.what]
    sys.exit(0 if run(arguments.files, arguments.engine, arguments.rows or count) else 1)


if __name__ == "__main__":
    main()
