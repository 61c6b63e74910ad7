"""Export: a network, or a model of a table with its encoders, as a file that other programs can run.

`operators.py` has what each op is in ONNX; `columns.py` and `target.py` what the encoders are; `check.py` runs the
result with onnxruntime before it is written.
"""

from fallline.export.feeds import onnx_inputs
from fallline.export.onnx_file import OnnxExport, export_onnx

__all__ = ["OnnxExport", "export_onnx", "onnx_inputs"]
