"""Becoming part of a Ray: a cluster that answers, or one that is started here."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from longtail.errors import UsageError

if TYPE_CHECKING:
    from longtail.experiments.engines import Share

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 15
# Results are a few bytes; Ray would set aside a third of the memory for them.
_STORE_BYTES = 100 * 2**20
# Nothing is sent to Ray's makers, and runs see the GPUs as they would in a plain process.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextlib.contextmanager
def joined(share: "Share", address: str | None) -> Iterator[None]:
    """Within the block this process is part of a Ray."""
    import ray

    if ray.is_initialized():
        yield
        return
    with _environment():
        with _sigterm_kept():
            _start(share) if address is None else _join(address)
        try:
            yield
        finally:
            ray.shutdown()


def _start(share: "Share") -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=share.at_once * share.threads,
        object_store_memory=_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _join(address: str) -> None:
    """Join a cluster that answers; Ray itself would try for minutes, or end the process.

    Raises:
        UsageError: it does not answer, or this machine is no part of it.
    """
    import ray
    from ray.exceptions import RayError

    try:
        socket.create_connection(host_and_port(address), _CONNECT_SECONDS).close()
        _check_health(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        raise UsageError(
            f"--address {address}: no Ray cluster to join there ({reason}). Give the HOST:PORT "
            "that `ray start --head` printed, on a machine that is part of the cluster, or leave "
            "it out to start a Ray here."
        ) from error


def _check_health(address: str) -> None:
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConnectionError(f"no answer in {_ANSWER_SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1].split(". ")[0] if lines else "no Ray answers"
        hint = "; set RAY_AUTH_MODE=token" if "InvalidAuthToken" in said else ""
        raise ConnectionError(said + hint)


def host_and_port(address: str) -> tuple[str, int]:
    """Where a cluster's head listens.

    Raises:
        UsageError: no HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"--address {address}: give HOST:PORT of the cluster's head, as `ray start --head` "
            "prints it."
        )
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Within the block Ray finds its settings; what a person has set stays."""
    # Ray itself turns authentication on for a cluster it starts; a later one decides anew.
    names = (*_ENVIRONMENT, "RAY_AUTH_MODE")
    before = {name: os.environ.get(name) for name in names}
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, earlier in before.items():
            os.environ.pop(name, None)
            if earlier is not None:
                os.environ[name] = earlier


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """`ray.init` puts its own handler in the place of SIGTERM's, which is not Ray's to decide."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None:  # one that Python did not install cannot be put back
            signal.signal(signal.SIGTERM, handler)
