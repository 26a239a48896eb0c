"""Workers that meet an empty cache at the same time."""

import shutil
import subprocess
import sys
from pathlib import Path

import bq

CALL = """
from bq.analysis.options import bsm_price
print(round(float(bsm_price(100, 100, 1, .2, rate=.05, is_call=True)), 6))
"""


def test_processes_that_start_together_on_an_empty_cache_all_answer(tmp_path):
    copy = tmp_path / "bq"
    shutil.copytree(Path(bq.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", CALL]
    together = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [(process.communicate(timeout=240)[0].strip(), process.returncode) for process in together]
    assert answers == [("10.450584", 0)] * 4
    assert len(list((copy / "kernels/__pycache__").glob("compiled-*"))) == 1
    after = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (after.stdout.strip(), after.returncode) == ("10.450584", 0)
