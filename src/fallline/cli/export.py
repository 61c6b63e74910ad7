"""`fallline export`: a model as a file for other programs."""

import json
from pathlib import Path

import click


@click.command(short_help="Write a model as an ONNX file.")
@click.argument("model")
@click.option("--onnx", "out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write.")
@click.option("--sample", metavar="DATA", help="Rows to compare on; generated ones without it.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def export(model: str, out: Path, sample: str | None, as_json: bool) -> int:
    """Write MODEL (a model file or a run folder) as an ONNX file, with the encoders of its columns.

    Before it is written it is run by onnxruntime and compared with the model on some rows; one that differs by more
    than 0.00001 of the values' size is refused. Dates and free text, for which ONNX has no operators, it takes encoded.
    """
    from fallline.cli import show
    from fallline.cli.predict import model_path
    from fallline.errors import ArgumentError
    from fallline.export import export_onnx
    from fallline.tables.model import TableModel, load

    opened = load(model_path(model))
    if sample is not None and not isinstance(opened, TableModel):
        raise ArgumentError(f"{model!r} is a network without encoders: give it rows in Python, by fl.export_onnx")
    done = export_onnx(opened, out, sample)
    if as_json:
        content = {
            "onnx": str(done.path),
            "inputs": [port.name for port in done.inputs],
            "outputs": [port.name for port in done.outputs],
            "encoded": done.encoded,
            "rows": done.rows,
            "difference": done.difference,
        }
        click.echo(json.dumps(content))
        return 0
    rows = [("onnx", str(done.path)), ("inputs", show.count(len(done.inputs), "input"))]
    rows += [("", str(port)) for port in done.inputs[:20]]
    rows += [("", "…")] * (len(done.inputs) > 20)
    rows += [("outputs", "; ".join(map(str, done.outputs)))]
    rows += [("compared", f"{show.count(done.rows, 'row')} in onnxruntime: {done.difference:.1g} apart at most")]
    show.print_listing(show.console(), rows + [("note", notice) for notice in done.notices()])
    return 0
