"""The files below a folder or inside a .zip, read through one small interface."""

import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from longtail.errors import DataError

# The largest picture the decoder accepts, uncompressed with 16 bits in 4 channels, is 512 MB.
MAX_FILE_BYTES = 512_000_000


@dataclasses.dataclass(frozen=True)
class Tree:
    """What a folder or a .zip holds; hidden files and folders left out.

    Attributes:
        files: relative POSIX path -> (bytes, stamp); the stamp changes with the content: the
            modification time in nanoseconds, or the CRC-32 a .zip keeps.
        folders: relative POSIX paths of all folders, empty ones too.
        links: symbolic links left out: those to folders, and those that lead outside.
        read: the bytes of one file; raises OSError or `ValueError` with the reason if it cannot.
    """

    files: dict[str, tuple[int, int]]
    folders: frozenset[str]
    links: int
    read: Callable[[str], bytes]


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files of a folder or a .zip, which stays open inside the block.

    Raises:
        DataError: there is nothing at `path`, or it is neither a folder nor a readable .zip.
    """
    if path.is_dir():
        yield _folder(path.resolve())
        return
    if not path.exists():
        raise DataError(f"There is no folder or file at {path}; check the path.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path} is neither a folder nor a readable .zip ({error}). Give a folder with one "
            "subfolder a class, or a .zip of one."
        ) from error
    with archive:
        yield _zip(archive)


def _folder(root: Path) -> Tree:
    files, folders, links = {}, set(), 0
    pending = [root]
    while pending:
        for entry in sorted(pending.pop().iterdir()):
            name = entry.relative_to(root).as_posix()
            if _hidden(name):
                continue
            if entry.is_symlink() and not _stays_inside(entry, root):
                links += 1
            elif entry.is_dir():
                folders.add(name)
                pending.append(entry)
            elif entry.is_file():
                status = entry.stat()
                files[name] = (status.st_size, status.st_mtime_ns)

    def read(name: str) -> bytes:
        _check_size(files[name][0])
        return (root / name).read_bytes()

    return Tree(files, frozenset(folders), links, read)


def _stays_inside(link: Path, root: Path) -> bool:
    """Whether a link is to a file below the root; linked folders could form a circle."""
    target = link.resolve()
    return target.is_file() and target.is_relative_to(root)


def _zip(archive: zipfile.ZipFile) -> Tree:
    members = {
        info.filename.replace("\\", "/"): info
        for info in archive.infolist()
        if not _hidden(info.filename)
    }
    inside = {name: info for name, info in members.items() if not name.endswith("/")}
    folders = {str(parent) for name in members for parent in PurePosixPath(name).parents}
    folders |= {name.rstrip("/") for name in members if name.endswith("/")}

    def read(name: str) -> bytes:
        _check_size(inside[name].file_size)
        try:
            return archive.read(inside[name])
        except Exception as error:  # a torn member raises what its compression's library likes
            raise ValueError(str(error) or type(error).__name__) from error

    files = {name: (info.file_size, info.CRC) for name, info in inside.items()}
    return Tree(files, frozenset(folders - {"."}), 0, read)


def _hidden(name: str) -> bool:
    """Dot files, and the folder macOS adds to the archives it makes."""
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"it has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
