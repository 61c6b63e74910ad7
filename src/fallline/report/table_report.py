"""The report of a training on a table: what `report.html` says."""

from pathlib import Path

import numpy as np

from fallline.report.backward_flow import backward_picture
from fallline.report.descent import descent_picture
from fallline.report.html import write_report
from fallline.tables.train import TableRun
