"""How the perceptrons train: nothing is compiled twice, no number of threads counts, and pickles hold no program."""

import pickle
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fallline as fl
from fallline.engine import compiled, epochs
from fallline.engine.compiler.program import Leaves
from fallline.errors import CompileError
from fallline.ir.types import BATCH
from fallline.nn.trace import DENOMINATOR, SEED, STEP
from fallline.nn.trace import X as X_NAME
from fallline.nn.trace import Y as Y_NAME
from fallline.sklearn import MLPClassifier, MLPRegressor, arrays
from fallline.sklearn.objective import Design, step_graph

X, Y = load_digits(return_X_y=True)
X = X / 16.0

FROZEN = {
    ("sgd", "float32"): ["-0x1.796a220000000p-1", "0x1.3fcd51d555555p+0"],
    ("adam", "float32"): ["-0x1.7983c00000000p-1", "0x1.41c3192aaaaabp+0"],
    ("adam", "float64"): ["-0x1.7983c16f782a4p-1", "0x1.41c3197009d89p+0"],
}
"""Solver and arithmetic → a weight and the loss after eight epochs."""


pytestmark = pytest.mark.usefixtures("no_convergence_wanted")


def classifier(**settings: Any) -> Any:
    return MLPClassifier(**{"max_iter": 8, "random_state": 0, "hidden_layer_sizes": (16,), **settings})


def assert_same_bits(one: Any, other: Any) -> None:
    for a, b in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_bits_are_frozen() -> None:
    """Of solvers and arithmetics, once they were found to agree with scikit-learn's (test_mlp_parity.py)."""
    x = np.arange(60.0).reshape(12, 5) % 7 / 7
    found = {}
    for solver, dtype in (("sgd", "float32"), ("adam", "float32"), ("adam", "float64")):
        net = classifier(solver=solver, dtype=dtype, batch_size=5, hidden_layer_sizes=(3,)).fit(x, np.arange(12) % 3)
        found[solver, dtype] = [float(number).hex() for number in (net.coefs_[0][4, 2], net.loss_)]
    assert found == FROZEN


def test_parts_give_the_bits_of_the_whole() -> None:
    """So do epochs that run together and epochs that are looked at one by one."""
    for settings in ({}, {"solver": "sgd", "learning_rate": "invscaling"}, {"dropout": 0.2, "batch_size": 100}):
        whole = classifier(**settings, tol=0.0).fit(X, Y)
        parts, looked_at = classifier(**settings, tol=0.0), classifier(**settings, tol=0.0, callbacks=lambda *_: None)
        for _ in range(8):
            parts.partial_fit(X, Y, classes=range(10))
        assert_same_bits(whole, parts)
        assert_same_bits(whole, looked_at.fit(X, Y))
        assert whole.loss_curve_ == parts.loss_curve_ == looked_at.loss_curve_


def test_stopping_in_the_middle_of_epochs_that_run_together_leaves_the_weights_of_the_right_epoch() -> None:
    x, y = X[:20], Y[:20]  # so little that many epochs run at once
    stopped = classifier(max_iter=5000, tol=1e-3).fit(x, y)
    assert 100 < stopped.n_iter_ < 4000
    assert_same_bits(stopped, classifier(max_iter=stopped.n_iter_, tol=0.0, n_iter_no_change=np.inf).fit(x, y))


def test_the_number_of_threads_changes_nothing() -> None:
    assert_same_bits(classifier(threads=1).fit(X, Y), classifier(threads=2).fit(X, Y))
    lbfgs = {"solver": "lbfgs", "max_iter": 4}
    assert_same_bits(classifier(threads=1, **lbfgs).fit(X, Y), classifier(threads=2, **lbfgs).fit(X, Y))


def test_a_search_over_rates_and_penalties_compiles_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(compiled.Compiled):
        def __init__(self, *arguments: Any) -> None:
            made.append(1)
            super().__init__(*arguments)

    monkeypatch.setattr(compiled, "Compiled", Counted)
    grid = {"mlp__alpha": [1e-4, 1.0], "mlp__learning_rate_init": [1e-3, 1e-2]}
    pipeline = make_pipeline(StandardScaler(), classifier(hidden_layer_sizes=(13,)))
    pipeline.steps[-1] = ("mlp", pipeline.steps[-1][1])
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X[:600], Y[:600])
    assert search.best_params_["mlp__learning_rate_init"] == 1e-2
    assert search.best_score_ > 0.6
    # two batch sizes of 400 rows (whole batches only: 1), of 600 rows (1), and predictions of 200 and of 400 rows
    assert sum(made) <= 4


def test_weights_are_routed_through_pipelines() -> None:
    weight = 1.0 + np.arange(300) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        net = (
            classifier(learning_rate_init=0.02)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=True)
        )
        routed = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), net)
        routed.fit(X[:300], Y[:300], sample_weight=weight)
        found = cross_validate(routed, X[:300], Y[:300], params={"sample_weight": weight}, error_score="raise")
    scaled = StandardScaler().fit(X[:300], sample_weight=weight).transform(X[:300])
    alone = classifier(learning_rate_init=0.02).fit(scaled, Y[:300], sample_weight=weight)
    assert_same_bits(routed[-1], alone)
    assert found["test_score"].mean() > 0.6


def test_frames_go_through_pipelines_that_give_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:300], columns=[f"pixel {number}" for number in range(64)])
    net = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas").fit(frame, Y[:300])
    assert list(net[-1].feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        net[-1].predict(frame.rename(columns={"pixel 3": "x"}))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_pickles_predict_and_go_on(solver: str, tmp_path: Any) -> None:
    net = classifier(solver=solver).fit(X, Y)
    content = pickle.dumps(net)
    assert len(content) < 6 * net.coefs_[0].nbytes, "weights, the best weights and the optimizer's arrays"
    joblib.dump(net, tmp_path / "net.joblib")
    for copy in (pickle.loads(content), joblib.load(tmp_path / "net.joblib")):
        np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))
        if solver != "lbfgs":
            assert_same_bits(copy.partial_fit(X, Y), pickle.loads(content).partial_fit(X, Y))


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3, "shuffle": False}, {"solver": "sgd"}], ids=str)
def test_the_reference_engine_steps_in_where_nothing_can_be_compiled(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weight = 1.0 + np.arange(450) % 2
    native = classifier(dtype="float64", **settings).fit(X[:450], Y[:450], weight)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise CompileError("no code can be made here")

    monkeypatch.setattr(epochs, "Epochs", refuse)
    walked = classifier(dtype="float64", **settings).fit(X[:450], Y[:450], weight)
    assert "no code can be made here" in caplog.text
    np.testing.assert_allclose(native.loss_curve_, walked.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(native.coefs_[0], walked.coefs_[0], atol=1e-9)


def test_sparse_rows_are_made_dense_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        sparse = classifier().fit(kind(X), Y, X_val=kind(X[:9]), y_val=Y[:9])
        assert_same_bits(sparse, classifier().fit(X, Y))
        np.testing.assert_array_equal(sparse.predict(kind(X)), sparse.predict(X))
    monkeypatch.setattr(arrays, "available_memory", lambda: 1000)
    with pytest.raises(
        fl.ArgumentError, match=r"sparse X of shape \(1797, 64\).*460 kB, but 1 kB are available.*partial"
    ):
        classifier().fit(scipy.sparse.csr_array(X), Y)


def test_zero_weights_and_broken_numbers() -> None:
    late = np.where(np.arange(300) < 200, 0.0, 1.0)  # no row of the first batch counts
    net = MLPRegressor(max_iter=3, random_state=0, shuffle=False).fit(X[:300], Y[:300], sample_weight=late)
    assert np.isfinite(net.coefs_[0]).all()
    with pytest.raises(ValueError, match="at least one non-zero number"):
        net.fit(X[:300], Y[:300], sample_weight=0.0 * late)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match=r"training loss became .* in epoch \d+: the best weights before it"):
        kept = MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0, early_stopping=True).fit(X, Y)
    assert np.isfinite(kept.predict(X)).all()
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(random_state=0).fit(X * 1e300, Y)  # more than float32 holds


def test_no_thread_overwrites_a_loss_that_another_still_reads() -> None:
    """They would disagree on whether it is finite, and one would wait for the other for ever."""
    design = Design((64, 100, 1), ("relu",), (0.0,), "squared_error", "identity", "float32")
    update = step_graph(design, False, (("solver", "sgd"), ("momentum", 0.9), ("nesterov", True)))
    scalars = (DENOMINATOR, *update.scalars)
    state = tuple(name for name in update.graph.inputs if name not in (X_NAME, Y_NAME, SEED, STEP, *scalars))
    leaves = Leaves((X_NAME, Y_NAME), state, scalars, STEP, SEED, dict(update.updates))
    text = compiled.compile_graph(update.graph, {BATCH.name: 200}, leaves).text
    loss = text.results["loss"][0]
    stages = {kernel.stage for kernel in text.kernels if ("arena", loss.offset) in kernel.tensors}
    assert len(stages) == 1
    assert stages != {0}


def test_ctrl_c_keeps_what_was_learnt() -> None:
    def interrupt(net: Any, epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        net = classifier(callbacks=interrupt).fit(X, Y)
    assert_same_bits(net, classifier(max_iter=3).fit(X, Y))


@pytest.mark.parametrize("absent", ["sklearn", "scipy"])
def test_without_scikit_learn_it_says_what_to_install(absent: str) -> None:
    code = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "import fallline.sklearn\n"
        "try:\n    fallline.sklearn.MLPClassifier\n"
        "except fallline.MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install 'fallline[sklearn]'" in done.stdout, done.stderr
    assert absent in done.stdout


def test_the_room_has_the_two_names_and_no_other() -> None:
    import fallline.sklearn as room

    assert {"MLPClassifier", "MLPRegressor"} <= set(dir(room))
    with pytest.raises(AttributeError, match="has no attribute 'MLPTransformer'"):
        _ = room.MLPTransformer
