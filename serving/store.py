"""Where a cluster reads and writes: folders and object stores, through the file systems of pyarrow. Nothing half-written looks whole."""

from __future__ import annotations

import io
import json
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
from pyarrow import fs as pafs

from otklik.serving.tables import TableError

_WHOLE_PUTS = {"s3", "gcs", "abfs"}  # an object appears when all of it is there; files elsewhere are written aside and renamed
_BUFFER = 1 << 20
_MARK, _SUCCESS = "_otklik.json", "_SUCCESS"  # readers of Parquet folders leave out names that begin with «_»


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to be read. ``name`` is its path below what was named on the command line."""

    files: Any
    path: str
    name: str
    stamp: str  # name, size and time: another one tells that the file has changed

    @property
    def suffix(self) -> str:
        """With its dot, as written."""
        return PurePosixPath(self.path).suffix

    def __str__(self) -> str:
        return self.name

    def open(self, mode: str = "r", *, encoding: str | None = None, newline: str | None = None) -> IO[Any]:
        """As `Path.open` does, for reading."""
        raw = io.BufferedReader(self.files.open_input_file(self.path), _BUFFER)
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding=encoding, newline=newline)


def blobs(place: str) -> list[Blob]:
    """A file, or all below a folder, by name; what begins with «.» or «_» is none of the data. Raises `TableError`."""
    files, path = _opened(place)
    info = files.get_file_info(path)
    if info.type is pafs.FileType.NotFound:
        raise TableError("no_file", f"{place}: такого файла или папки нет; проверьте путь")
    if info.type is pafs.FileType.File:
        return [_blob(files, info, info.base_name)]
    found = [
        _blob(files, one, one.path[len(path) :].lstrip("/"))
        for one in files.get_file_info(pafs.FileSelector(path, recursive=True))
        if one.type is pafs.FileType.File
    ]
    return sorted((blob for blob in found if not any(part.startswith((".", "_", "~$")) for part in blob.name.split("/"))), key=str)


def inside(place: str, folder: str) -> bool:
    """Whether it is this folder, or lies in it."""
    (files, path), (others, parent) = _opened(place), _opened(folder)
    return bool(files == others) and PurePosixPath(path).is_relative_to(parent)


class Target:
    """The folder of a result. It takes its name when it is whole; in an object store, which cannot rename, `_SUCCESS` comes last.

    Goes to the workers. ``mark`` tells of which run it is: a run that was interrupted goes on with what it finds.
    """

    def __init__(self, place: str, mark: str, *, restart: bool) -> None:
        """Touches nothing. Raises `TableError` where something else is there."""
        self._files, self._path = _opened(place)
        self._mark, self._restart = mark, restart
        self._whole_puts = self._files.type_name in _WHOLE_PUTS
        path = PurePosixPath(self._path)
        self._work = self._path if self._whole_puts else str(path.with_name(f".{path.name}.cluster"))
        ours = self._read(self._path, _MARK) if self._is_result() else ""
        half = self._whole_puts and ours == mark and not self._read(self._path, _SUCCESS)
        if self._taken() and not half and not (restart and ours):
            way = "укажите другую папку после -o" + (", или --restart, чтобы разметить заново" if ours else "")
            raise TableError("target_exists", f"{place}: там уже что-то есть; {way}")

    def _taken(self) -> bool:
        return self._is_file() or bool(self._files.get_file_info(pafs.FileSelector(self._path, allow_not_found=True)))

    def _is_file(self) -> bool:
        return bool(self._files.get_file_info(self._path).type is pafs.FileType.File)

    def _is_result(self) -> bool:
        """Whether everything there was written by a run, and may be replaced by another one."""
        if self._is_file():
            return False
        found = self._files.get_file_info(pafs.FileSelector(self._path, recursive=True, allow_not_found=True))
        return all(one.type is pafs.FileType.Directory or one.path.endswith((".parquet", _MARK, _SUCCESS)) for one in found)

    def begin(self) -> None:
        """What another run left is removed."""
        if self._restart or self._read(self._work, _MARK) != self._mark:
            self._drop(self._work)
        self.write(_MARK, self._mark.encode("utf-8"))

    def write(self, name: str, content: bytes) -> None:
        """All of it or nothing. A name that is there already holds the same, and is left alone: any worker may write a part again."""
        path = f"{self._work}/{name}"
        if self._files.get_file_info(path).type is pafs.FileType.File:
            return
        if self._whole_puts:
            with self._files.open_output_stream(path) as out:
                out.write(content)
            return
        folder = path.rpartition("/")[0]
        self._files.create_dir(folder, recursive=True)
        aside = f"{folder}/.{uuid.uuid4().hex}"
        with self._files.open_output_stream(aside) as out:
            out.write(content)
        if self._files.type_name == "local":
            with Path(aside).open("rb") as written:
                os.fsync(written.fileno())
        self._files.move(aside, path)

    def names(self) -> set[str]:
        """Of the parts that are there."""
        found = self._files.get_file_info(pafs.FileSelector(self._work, recursive=True, allow_not_found=True))
        names = (one.path[len(self._work) :].lstrip("/") for one in found if one.type is pafs.FileType.File)
        return {name for name in names if not PurePosixPath(name).name.startswith((".", "_"))}

    def open(self, name: str) -> Any:
        """A part, for reading."""
        return self._files.open_input_file(f"{self._work}/{name}")

    def finish(self, told: dict[str, Any]) -> None:
        """``told`` stands in `_SUCCESS`."""
        self._tidy()
        self.write(_SUCCESS, json.dumps(told, ensure_ascii=False).encode("utf-8"))
        if self._work != self._path:
            self._drop(self._path)
            self._files.move(self._work, self._path)

    def _tidy(self) -> None:
        """What a worker left that was killed while it wrote."""
        for one in self._files.get_file_info(pafs.FileSelector(self._work, recursive=True)):
            if one.type is pafs.FileType.File and one.base_name.startswith("."):
                self._files.delete_file(one.path)

    def _drop(self, path: str) -> None:
        if self._files.get_file_info(path).type is not pafs.FileType.Directory:
            return
        if self._whole_puts:
            self._files.delete_dir_contents(path)  # a bucket stays
        else:
            self._files.delete_dir(path)

    def _read(self, folder: str, name: str) -> str:
        path = f"{folder}/{name}"
        if self._files.get_file_info(path).type is not pafs.FileType.File:
            return ""
        with self._files.open_input_stream(path) as opened:
            return str(opened.read().decode("utf-8"))


def _blob(files: Any, info: Any, name: str) -> Blob:
    return Blob(files, info.path, name, f"{name} {info.size} {info.mtime_ns}")


def _opened(place: str) -> tuple[Any, str]:
    """File system and path within it of a URI, or of a path on this machine."""
    if "://" not in place:
        return pafs.LocalFileSystem(), str(Path(place).resolve())
    if re.search("//[^/@]*:[^/@]*@", place):
        message = "ключи доступа не пишут в адресе, их увидят в списке процессов; задайте их переменными окружения хранилища (AWS_…)"
        raise TableError("unknown_store", message)
    try:
        files, path = pafs.FileSystem.from_uri(place)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(
            "unknown_store", f"{place}: такого хранилища нет ({error}); подходят s3://, gs://, hdfs://, file:// и путь"
        ) from error
    return files, path.rstrip("/")
