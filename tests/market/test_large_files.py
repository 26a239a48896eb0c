"""A file larger than memory is read as it streams by: what stays is the rows asked for."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bq.market.calendars import sessions

SYMBOLS, SIZE = 1600, 75e6  # a CSV of about this many bytes
READ = """
import json, threading, time
from bq import market
from bq.core.settings import Market
from bq.market.calendars import sessions

def private():
    text = open("/proc/self/status").read()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024

def watch():
    while not done.wait(.002):
        peak.append(private())

sessions("XNYS")
peak, done = [private()], threading.Event()
watching = threading.Thread(target=watch)
watching.start()
data = market.read(Market(source="files", symbols=["S0001", "S0002"]))
done.set()
watching.join()
print(json.dumps({"grown": max(peak) - peak[0], "bars": len(data.bars), "read": data.counts["read"].sum()}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="private memory is read from Linux's /proc")
def test_two_symbols_of_a_large_file_do_not_bring_the_file_into_memory(bars_folder):
    days = sessions("XNYS").filter(pl.col("session").is_between(dt.date(2010, 1, 1), dt.date(2011, 12, 31)))
    names = pl.DataFrame({"symbol": [f"S{number:04}" for number in range(SYMBOLS)]})
    rows = names.join(days.select(date="session"), how="cross")
    rows.with_columns(close=pl.int_range(pl.len()) / 7 + 1, note=pl.lit("x" * 60)).write_csv(bars_folder / "all.csv")
    assert (bars_folder / "all.csv").stat().st_size > SIZE
    # polars reads ahead up to some 300 MB in chunks; smaller chunks show on a small file that this is all it keeps
    environment = os.environ | {"POLARS_CSV_CHUNK_SIZE": "1000000"}
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert (seen["bars"], seen["read"]) == (2 * len(days), SYMBOLS * len(days))
    assert seen["grown"] < 0.8 * SIZE
