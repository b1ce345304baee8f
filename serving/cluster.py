"""Labelling by many processes or machines with Ray Data, with the same answers as by one.

Ray hands out pieces of files, not rows: a worker reads its piece and writes one part under a name that is always the same. So a piece that
is done twice, because a worker died, changes nothing, and customers' words never lie in Ray's object store, on its disk or in its logs.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from otklik.serving.label import Asked, Cluster
from otklik.serving.labeller import Summary
from otklik.serving.pieces import Plan, cut, plan
from otklik.serving.settings import usable_cores
from otklik.serving.sources import SUFFIXES
from otklik.serving.store import Blob, Target, blobs, inside
from otklik.serving.tables import TableError
from otklik.serving.worker import Recipe, Work, Worker, add_up, told

_STORE_BYTES = 100_000_000  # of shared memory; only numbers of pieces lie there
_DEATHS = 3  # of workers, one after another, before they have begun
_AGAIN = "запустите команду ещё раз: сделанное не пропало"
_SHOWN = 5  # files that cannot be read


def label_on_cluster(
    source: str,
    target: str,
    recipe: Recipe,
    asked: Asked,
    cluster: Cluster,
    progress: Callable[[int, int | None], None] = lambda done, total: None,  # noqa: ARG005
) -> Summary:
    """A file, or those below a folder, here or in an object store, into a folder of Parquet parts: all rows, in order within a file.

    Repeated texts are not counted. Raises `TableError`; what is done by then stays, and the same call goes on from there.
    """
    try:
        return _label(source, target, recipe, asked, cluster, progress)
    except RayError as error:
        raise TableError("cluster_failed", f"Ray: {type(error).__name__}; журналы в /tmp/ray; {_AGAIN}") from error
    except OSError as error:
        raise TableError("no_access", f"{error}; проверьте права и место; {_AGAIN}") from error


def _label(
    source: str, target: str, recipe: Recipe, asked: Asked, cluster: Cluster, progress: Callable[[int, int | None], None]
) -> Summary:
    found = blobs(source)
    readable = [blob for blob in found if blob.suffix.lower() in SUFFIXES]
    if not readable:
        raise TableError("empty_folder", f"{source}: нет файлов, которые можно разметить; подходят {', '.join(SUFFIXES)}")
    if inside(target, source):
        raise TableError("same_file", f"{target}: укажите папку не внутри исходной, исходные файлы не перезаписываются")
    result = Target(target, _mark(readable, recipe, asked), restart=asked.restart)
    with _started(cluster) as workers:
        plans = _planned(readable, asked)
        pieces = cut(plans)
        result.begin()
        notes = [f"{blob}: пропущен, подходят {', '.join(SUFFIXES)}" for blob in found if blob not in readable]
        summary = Summary(notes=[*notes, *dict.fromkeys(note for each in plans for note in each.notes)])
        _run(Work(recipe, plans, pieces, result, cluster.threads, asked.wide), workers, summary, progress)
    add_up(result, pieces, summary)
    result.finish({"rows": summary.rows, "model_version": recipe.version, "taxonomy_version": recipe.taxonomy.version})
    return summary


def _mark(found: Sequence[Blob], recipe: Recipe, asked: Asked) -> str:
    """Of the files, of what was asked, and of who answers."""
    who = [recipe.version, recipe.taxonomy.id, recipe.taxonomy.version, recipe.engine, recipe.masked]
    how = [asked.text_column, asked.score_column, asked.layout.encoding, asked.layout.delimiter, asked.wide]
    content = json.dumps([[blob.stamp for blob in found], who, how], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _started(cluster: Cluster) -> Iterator[int]:
    """Ray, as quiet as it can be, for as long as the context lasts; gives the number of workers that there is room for."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if cluster.address:
        given = {"address": cluster.address, **quiet}
    else:
        # Ray listens on all addresses and runs what it is sent; from 2.60 on it refuses whoever has not this secret.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        workers = cluster.workers or max(1, usable_cores() // cluster.threads)
        own = {"num_cpus": workers * cluster.threads, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        given = {"address": "local", **own, **quiet}
    try:
        with _hushed():
            ray.init(**given)
    except (ConnectionError, RuntimeError, ValueError) as error:
        message = f"Ray не запустился ({type(error).__name__}); проверьте --address: узел:порт кластера, на узле которого работает команда"
        raise TableError("no_cluster", message) from error
    try:
        room = sum(int(node["Resources"].get("CPU", 0)) // cluster.threads for node in ray.nodes() if node["Alive"])
        if not room:
            raise TableError("no_room", f"ни у одной машины кластера нет {cluster.threads} ядер; уменьшите --threads")
        with redirect_stdout(io.StringIO()):  # Ray tells there of every worker that died; its logs have it as well
            yield min(cluster.workers or room, room)
    finally:
        ray.shutdown()


def _planned(found: Sequence[Blob], asked: Asked) -> list[Plan]:
    """Every file is read once, by the whole cluster. Raises `TableError` with all that cannot be labelled."""
    task = ray.remote(_plan)
    answers: list[Plan | tuple[str, str]] = ray.get([task.remote(blob, asked) for blob in found])
    if wrong := [answer for answer in answers if not isinstance(answer, Plan)]:
        lines = [message for _, message in wrong[:_SHOWN]]
        more = [f"и ещё файлов с ошибками: {len(wrong) - _SHOWN}"] if len(wrong) > _SHOWN else []
        raise TableError(wrong[0][0], "\n".join([*lines, *more]))
    return [answer for answer in answers if isinstance(answer, Plan)]


def _plan(blob: Blob, asked: Asked) -> Plan | tuple[str, str]:
    try:
        return plan(blob, asked)
    except TableError as error:
        return error.code, str(error)
    except Exception as error:  # noqa: BLE001  never shown to Ray: it could quote a customer
        return "unreadable", f"{blob}: {told(error)}"


def _run(work: Work, workers: int, summary: Summary, progress: Callable[[int, int | None], None]) -> None:
    """All pieces whose parts are not there yet."""
    there = work.target.names()
    todo = [number for number, piece in enumerate(work.pieces) if piece.part not in there]
    total = sum(piece.rows for piece in work.pieces)
    done = total - sum(work.pieces[number].rows for number in todo)
    if done:
        summary.notes.append(f"продолжено: уже размечено строк {done}")
    progress(done, total)
    for answer in _answers(work, todo, workers) if todo else ():
        if answer["wrong"]:
            raise TableError("not_labelled", f"{answer['wrong']}; {_AGAIN}")
        done += answer["rows"]
        progress(done, total)


def _answers(work: Work, todo: Sequence[int], workers: int) -> Iterator[dict[str, Any]]:
    """As they come. Ray Data starts a worker that died again, and gives it its piece again; it does so without end."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = _DEATHS
    # One piece at a time, so that the last ones are shared fairly.
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(todo)), max_tasks_in_flight_per_actor=1)
    pieces = ray.data.from_items(list(todo), override_num_blocks=len(todo))
    labelled = pieces.map_batches(
        Worker, fn_constructor_args=(work,), batch_size=1, num_cpus=work.threads, compute=pool, udf_modifying_row_count=False
    )
    yield from labelled.iter_rows()


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray's part in C++ writes its greetings to the standard error, whatever it is told."""
    kept = os.dup(2)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
