"""A browser for the tests that open the report and the lab: Debian's Chromium, where it can be installed."""

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome")
LONGEST = 300.0
"""Seconds for the download and the installation."""
PATIENT = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "DPkg::Lock::Timeout=10")
"""Offline, the attempt is over in seconds."""


def offer() -> bool:
    """Install Chromium if there is no browser, this is root, and apt-get is there; whether there is one then.

    Nothing depends on it: without a browser those tests skip, and say so.
    """
    if any(map(shutil.which, NAMES)):
        return True
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print("Installing Chromium for the tests that open pages …", flush=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PATIENT, "chromium"]
    done = _run(install) or (_run(["apt-get", "update", "-qq", *PATIENT]) and _run(install))
    if not done:
        print("It cannot be installed here; those tests will skip.", flush=True)
    return done


def _run(command: list[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=LONGEST,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
