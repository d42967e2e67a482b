"""A PostgreSQL server of one's own, for the length of a block."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "open-sesame"


def binaries() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).parent if on_path else None


def account() -> str | None:
    """Who runs the server, which refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in names), None)
    if user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no other account")
    return user


class Server:
    """Started and stopped at will; its data stay."""

    def __init__(self, bin_folder: Path, folder: Path, user: str | None) -> None:
        self.bin, self.folder, self.user = bin_folder, folder, user
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://tuner:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.bin / program, *words],
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    def create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, secret):
                shutil.chown(path, self.user)
        options = ("--username=tuner", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        self.run("initdb", f"--pgdata={self.folder / 'data'}", *options)

    def start(self) -> None:
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -F"
        log = self.folder / "log"
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(log), "-o", settings, "start"
        )

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    bin_folder = binaries()
    if bin_folder is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    # Not in pytest's own folder, which another account may not enter.
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        server = Server(bin_folder, Path(name), account())
        server.create()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):
                server.stop()
