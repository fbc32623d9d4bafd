"""What a broker needs on this machine: found, or installed where that is possible, or asked for in a sentence."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from brokers.trouble import Trouble, say

__all__ = ["copy_artifact", "copy_dependencies", "go", "java", "need", "say_building"]

#: Set to False by `compose/up --no-install`: then a missing program is only asked for.
may_install = True
#: Set to False by `compose/up --no-build`: then what takes minutes to build is only asked for.
may_build = True

_POLICY = Path("/usr/sbin/policy-rc.d")
_DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


def need(program: str, package: str, *, folders: Sequence[str] = ()) -> str:
    """The path of a program: on PATH or in ``folders``; from its Debian package where this is root on Debian."""
    path = os.pathsep.join((*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"))
    found = shutil.which(program, path=path)
    if found:
        return found
    if may_install and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"{program} is missing: installing {package}")
        _apt(package)
        found = shutil.which(program, path=path)
        if found:
            return found
    raise Trouble(f"{program} is missing: install it, on Debian and Ubuntu with `sudo apt-get install -y {package}`.")


def _apt(package: str) -> None:
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for command in (install, ["apt-get", "update", "-qq"], install):
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )
            if command is install and done.returncode == 0:
                return
    raise Trouble(f"apt-get could not install {package}: {(done.stderr or done.stdout).strip()[-800:]}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep apt from starting a machine-wide service: the broker of a run is started by the run (policy-rc.d, 101)."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def java() -> str:
    """The path of a Java 17 or later, which Kafka 4 wants."""
    home = os.environ.get("JAVA_HOME")
    path = need("java", "default-jre-headless", folders=[f"{home}/bin"] if home else [])
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', shown)
    if version is None or int(version[1]) < 17:
        first = (shown.strip().splitlines() or ["nothing"])[0]
        raise Trouble(f"Java 17 or later is wanted and {path} is {first}: install one, or point JAVA_HOME at it.")
    return path


def say_building(name: str, minutes: str) -> None:
    """Before a build that takes minutes. Trouble where nothing may be built."""
    if not may_build:
        raise Trouble(f"{name} is not built yet: `compose/up {name}` does it once, {minutes} minutes.")
    say(f"{name}: building it, {minutes} minutes, this once")


def go(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run the Go tool; gives what it wrote to stdout."""
    done = subprocess.run(
        [need("go", "golang"), *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0", **environment},
        check=False,
    )
    if done.returncode:
        raise Trouble(f"go {arguments[0]} failed:\n{done.stderr.strip()[-1500:]}")
    return done.stdout


def _maven(goal: str, *arguments: str, cwd: Path) -> None:
    command = [need("mvn", "maven"), "-q", "-B", "-ntp", f"{_DEPENDENCY}:{goal}", *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Trouble(f"Maven could not fetch the jars:\n{done.stdout.strip()[-1500:]}")


def copy_dependencies(pom: Path, folder: Path) -> None:
    """The jars that a pom names, and what they need, into ``folder``."""
    _maven(
        "copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={folder}",
        "-f",
        str(pom),
        cwd=folder,
    )


def copy_artifact(artifact: str, folder: Path) -> None:
    """One jar, by its coordinates, into ``folder``."""
    _maven("copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}", cwd=folder)
