"""`fallline evaluate`, `check`, `runs` and the command itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl


def test_evaluate_prints_the_scores_of_its_rows(cli: Callable[..., Any], shop: Path, models: dict[str, Path]) -> None:
    code, out, _ = cli("evaluate", models["kind"], shop)
    assert code == 0
    assert [line[:12].strip() for line in out.splitlines()] == ["data", "accuracy", "log loss", "roc auc"]
    assert out.splitlines()[0] == "data        shop.csv: 60 rows"
    line = json.loads(cli("evaluate", models["kind"], shop, "--json").out)
    predicted = fl.load(models["kind"] / "model.safetensors").predict(str(shop))
    rows = shop.read_text(encoding="utf-8").splitlines()[1:]
    assert line["accuracy"] == sum(p == row.split(",")[5] for p, row in zip(predicted, rows, strict=True)) / 60
    assert (line["task"], line["rows"]) == ("classification", 60)
    line = json.loads(cli("evaluate", models["price"], shop, "--json").out)
    assert list(line) == ["task", "rows", "rmse", "mae", "r2"]


def test_a_score_that_is_undefined_is_left_out(cli: Callable[..., Any], table: Any, models: dict[str, Path]) -> None:
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big"]
    data = table("one.csv", ["size", "weight", "colour", "fresh", "day", "kind"], [row, row])
    code, out, _ = cli("evaluate", models["kind"], data)
    assert code == 0
    assert "nan" not in out
    assert json.loads(cli("evaluate", models["kind"], data, "--json").out)["roc_auc"] is None


def test_rows_without_an_answer_are_told(cli: Callable[..., Any], table: Any, models: dict[str, Path]) -> None:
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big"]
    data = table("t.csv", ["size", "weight", "colour", "fresh", "day", "kind"], [row, [*row[:5], ""], row])
    code, out, _ = cli("evaluate", models["kind"], data)
    assert code == 0
    assert "2 rows" in out
    assert "1 row left out, because the target 'kind' is missing (first: row 2 (line 3))." in out


@pytest.mark.parametrize("target", ["kind", "price"])
def test_check_finds_the_gradients_right(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], target: str
) -> None:
    code, out, err = cli("check", models[target], shop)
    assert (code, err) == (0, "")
    assert " of 60 rows: " in out
    assert "backpropagation and finite differences agree" in out
    assert "direct.weight" in out
    assert "float32 keeps at least " in " ".join(out.split())
    code, line, err = cli("check", models[target], shop, "--json")
    found = json.loads(line)
    assert (code, err, line.count("\n"), found["rows"], found["ok"]) == (0, "", 1, 60, True)
    assert 4.0 < found["float32_digits"] < 7.3
    assert f"float32 keeps at least {found['float32_digits']:.1f} digits" in " ".join(out.split())
    assert found["checks"][0]["name"] in out
    assert max(each["entries"] for each in found["checks"]) == 50
    code, line, _ = cli("check", models[target], shop, "--json", "--entries", "3")
    assert {each["entries"] for each in json.loads(line)["checks"]} <= {1, 2, 3}
    assert found["checks"][0]["precision"]["loosest"]["place"]


def test_check_says_where_they_are_wrong(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fallline.training import gradient_check

    real = gradient_check.StepProgram.__call__

    def wrong(self: Any, *arguments: Any, **named: Any) -> Any:
        result = real(self, *arguments, **named)
        for gradient in result.gradients.values():
            gradient *= 1.5
        return result

    monkeypatch.setattr(gradient_check.StepProgram, "__call__", wrong)
    assert cli("check", models["kind"], shop).code == 1


def test_check_tells_what_is_no_number_as_null(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fallline.training import gradient_check

    real = gradient_check.StepProgram.__call__

    def wrong(self: Any, *arguments: Any, **named: Any) -> Any:
        result = real(self, *arguments, **named)
        for gradient in result.gradients.values():
            gradient *= float("nan")
        return result

    monkeypatch.setattr(gradient_check.StepProgram, "__call__", wrong)
    code, line, _ = cli("check", models["kind"], shop, "--json")
    found = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (code, found["ok"], found["max_error"], found["float32_digits"]) == (1, False, None, 0.0)


def test_no_runs_yet(cli: Callable[..., Any]) -> None:
    assert cli("runs") == (0, "no runs in runs; make one: fallline train penguins --target species\n", "")
    assert cli("runs", "--json") == (0, "", "")


def test_runs_are_listed_the_latest_last_and_damaged_ones_told(
    cli: Callable[..., Any], train: Callable[..., Any], shop: Path
) -> None:
    train(shop, "kind", "--quiet")
    train(shop, "price", "--quiet")
    for name, content in {"bad": "{", "list": "[]", "odd": '{"score": "x", "epochs": 3}'}.items():
        Path("runs", name).mkdir()
        Path("runs", name, "run.json").write_text(content, encoding="utf-8")
    Path("runs", "no-run").mkdir()
    code, out, err = cli("runs")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["run", "data", "target", "score", "epochs", "stopped", "made"]
    assert [line.split()[0] for line in lines[1:]] == [f"runs/{n}" for n in ("bad", "list", "odd", "shop-1", "shop-2")]
    assert lines[1].endswith("run.json is damaged")
    assert lines[2].endswith("run.json is damaged")
    assert lines[4].split()[1:5] == ["shop.csv", "kind", "accuracy", lines[4].split()[4]]
    assert "None" not in out
    listed = [json.loads(line) for line in cli("runs", "--json").out.splitlines()]
    assert [run["target"] for run in listed] == ["", "", "", "kind", "price"]
    assert [run["metric"] for run in listed[3:]] == ["accuracy", "rmse"]
    assert cli("runs", "runs/shop-1").out.startswith("no runs in runs/shop-1; make one: ")


def test_a_run_that_lies_is_listed_on_one_line(cli: Callable[..., Any]) -> None:
    """What is of another type, or would move a terminal's cursor, or is no number, is not shown as it stands."""
    odd = [
        '{"data": "\\u001b[2Ja\\nb", "target": ["y"], "metric": "rmse", "score": NaN, "epochs": [3]}',
        '{"metric": "accuracy", "score": 1' + "0" * 400 + ', "epochs": true, "created": {}}',
        '{"data": "half \\ud800"}',
        "[" * 100_000,
    ]
    for number, text in enumerate(odd):
        Path("runs", str(number)).mkdir(parents=True)
        Path("runs", str(number), "run.json").write_text(text, encoding="utf-8")
    code, out, err = cli("runs")
    assert (code, err, out.count("\n")) == (0, "", 5)
    assert out.replace("\n", "").isprintable()
    assert out.count("run.json is damaged") == 2
    first, second, *_ = (json.loads(line) for line in cli("runs", "--json").out.splitlines())
    assert (first["data"], first["target"], first["metric"]) == ("\\x1b[2Ja", "", "rmse")
    assert (first["score"], first["epochs"]) == (second["score"], second["epochs"]) == (None, None)


def test_help_names_every_command(cli: Callable[..., Any]) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    for name in ("train", "predict", "evaluate", "check", "runs"):
        assert f"\n  {name} " in out
        assert cli(name, "-h").code == 0
    assert cli().code == 2
    assert cli("--version").out == f"fallline {fl.__version__}\n"


def test_what_is_no_command_is_told(cli: Callable[..., Any]) -> None:
    assert cli("trian").err.startswith("error: No such command 'trian'")
    assert cli("train").err == (
        "error: train needs DATA, a file or the name of a bundled set; or --resume RUN; "
        "`fallline train --help` lists what can be given\n"
    )
