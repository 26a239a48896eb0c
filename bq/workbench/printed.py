"""A page as PDF, by the Chromium of this machine: what stands on paper is what its print stylesheet says."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from bq.core import files
from bq.core.errors import BQError
from bq.core.numerals import decimal

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-pdf-header-footer")
TIME_MS = 20_000  # of the page's own clock, for its figures to be drawn
MOST_SECONDS = 120.0


def pdf(page: Path, target: Path) -> None:
    """Write a page as PDF, atomically. Raises BQError where no Chromium is, or where it writes nothing."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise BQError(
            f"FORMAT=pdf: Chromium must be installed, but none of {', '.join(BROWSERS)} is on the path. Install it, or "
            f"print {page} from a browser."
        )
    with tempfile.TemporaryDirectory(prefix="bq-print-") as folder:
        made = Path(folder) / target.name
        own = (f"--user-data-dir={folder}/profile", f"--virtual-time-budget={TIME_MS}", f"--print-to-pdf={made}")
        command = [browser, *FLAGS, *own, page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise BQError(
                f"FORMAT=pdf: {page} must be printed within {decimal(MOST_SECONDS, 0)} s, but was not."
            ) from None
        if not made.is_file():
            why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BQError(f"FORMAT=pdf: {browser} must write {target.name}, but did not: {why}")
        files.write_bytes(target, made.read_bytes())
