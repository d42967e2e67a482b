"""Where a study is kept: a journal file beside its runs, or a database for many machines."""

import contextlib
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from longtail.errors import DataError, UsageError

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

BEAT_SECONDS = 20
_MISSED_BEATS = 6  # after which a trial is taken from its process


def import_optuna() -> Any:
    """The library, an extra.

    Raises:
        UsageError: it is not installed; the message says what to type.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            'Tuning needs Optuna, which is not installed. Type: pip install "longtail[tune]"'
        ) from error
    return optuna


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's word on every trial, and on its heartbeat, which is used here knowingly."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # `keep_alive` beats in the place of Study.optimize.
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


def open_storage(where: str, stale: Any = None) -> "BaseStorage":
    """A study's storage.

    Args:
        where: path of a journal file, or the URL of a database.
        stale: called with the study and a trial of a database whose process has fallen silent.

    Raises:
        UsageError: a URL of no known database, or a driver that is not installed.
        DataError: no database answers there.
    """
    return _database(where, stale) if "://" in where else _journal(Path(where))


def _journal(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    # The system lets go of it when its process is killed; Optuna's own would be waited for.
    real = path.resolve()
    lock: Any = filelock.FileLock(real.with_name(f"{real.name}.lock"))
    with lock:
        _mend(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(
            f"{path} is no journal of a study, or a damaged one ({error}). Move it away; trials "
            "whose run folders are beside it are not trained again."
        ) from error


def _mend(path: Path) -> None:
    """Drop a last line that a full disk or a power failure cut off, before one is put behind it."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _database(url: str, stale: Any) -> "BaseStorage":
    import sqlalchemy

    driver, rest = url.split("://", 1)
    if driver in ("postgres", "postgresql"):
        driver = "postgresql+psycopg"
    with answering(url):
        try:
            return _with_tables(f"{driver}://{rest}", stale)
        except ImportError as error:
            raise UsageError(
                f"The database driver for {driver} is not installed. "
                'Type: pip install "longtail[tune]"'
            ) from error
        except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError):
            raise UsageError(
                f"--storage {shown(url)} is neither a path nor the address of a database; type "
                "e.g. postgresql://USER:PASSWORD@HOST/DATABASE."
            ) from None
        except RuntimeError as error:
            raise DataError(f"{shown(url)}: {_without(str(error), url)}") from None


def _with_tables(url: str, stale: Any, tries: int = 10) -> "BaseStorage":
    """The storage, its tables made if they are missing: by one of those that start at once."""
    import sqlalchemy
    from optuna.storages import RDBStorage

    try:
        return RDBStorage(
            url,
            # A trial takes minutes: a connection of its own for each word costs nothing, and none
            # is left open, or found dead, in between.
            engine_kwargs={"poolclass": sqlalchemy.pool.NullPool},
            heartbeat_interval=BEAT_SECONDS,
            grace_period=_MISSED_BEATS * BEAT_SECONDS,
            heartbeat_stale_trial_callback=stale,
        )
    except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
        if tries == 1:
            raise
    time.sleep(0.2)
    return _with_tables(url, stale, tries - 1)


@contextlib.contextmanager
def answering(where: str) -> Iterator[None]:
    """Say it plainly when the storage does not answer.

    Raises:
        DataError: no connection, or none any more.
    """
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise DataError(
            f"The study's storage {shown(where)} does not answer ({_without(reason, where)}). "
            "Finished trials stay; the same command goes on when it is back."
        ) from None


def shown(where: str) -> str:
    """A path as it is, a URL without what may be secret in it: its password and its options."""
    if "://" not in where:
        return where
    driver, rest = where.split("://", 1)
    user, _, host = rest.split("?", 1)[0].rpartition("@")
    name = user.partition(":")[0]
    return f"{driver}://{name}{':***' if ':' in user else ''}{'@' if user else ''}{host}"


def _without(text: str, where: str) -> str:
    """A server's words without the password."""
    password = where.rpartition("@")[0].rpartition(":")[2] if "@" in where else ""
    return text.replace(password, "***") if password else text


@contextlib.contextmanager
def keep_alive(storage: "BaseStorage", trial: "optuna.Trial") -> Iterator[None]:
    """Tell a database every few seconds that a trial's process lives; a journal needs no telling.

    A beat that does not arrive is left to the next one.
    """
    record = getattr(storage, "record_heartbeat", None)
    if record is None:
        yield
        return
    record(trial._trial_id)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(Exception):
                record(trial._trial_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
