"""`python -m tests.bench`: what `make bench` runs, from the folder that holds tests/ and bq/."""

import sys

from bq.__main__ import guarded
from bq.jobs import request
from tests import bench

sys.exit(guarded(lambda: bench.main(request.read())))
