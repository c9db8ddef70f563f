"""Writes the benign samples beside this file, with the libraries that people save models with.

Not part of the suite: it wants torch, scikit-learn, joblib, xgboost, lightgbm, skops, scipy, pandas, onnx, skl2onnx and
mlflow in an environment of its own. The samples are committed as they came out (`VERSIONS` names what wrote them).
Run: ``python tests/unit/inspection/samples/make.py``.
"""

import importlib.metadata
import pickle
import shutil
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import mlflow.models
import mlflow.onnx
import mlflow.sklearn
import numpy as np
import pandas as pd
import scipy.sparse
import skops.io
import torch
import xgboost
from skl2onnx import to_onnx
from sklearn import (
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    isotonic,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

HERE = Path(__file__).parent
LIBRARIES = [
    "torch",
    "scikit-learn",
    "joblib",
    "xgboost-cpu",
    "lightgbm",
    "skops",
    "scipy",
    "pandas",
    "onnx",
    "skl2onnx",
    "mlflow-skinny",
    "numpy",
]


def training_data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    x = random.normal(size=(30, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def write_scikit_learn(folder: Path) -> None:
    x, y = training_data()
    models = [
        linear_model.LogisticRegression(),
        linear_model.SGDClassifier(),
        ensemble.RandomForestClassifier(n_estimators=2, max_depth=2),
        ensemble.GradientBoostingClassifier(n_estimators=2, max_depth=2),
        ensemble.HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=3),
        ensemble.IsolationForest(n_estimators=2, max_samples=4),
        tree.DecisionTreeRegressor(max_depth=2),
        svm.SVC(),
        neighbors.KNeighborsClassifier(algorithm="kd_tree"),
        naive_bayes.GaussianNB(),
        neural_network.MLPClassifier((2,), max_iter=2000),
        cluster.KMeans(2, n_init=1),
        decomposition.PCA(2),
        isotonic.IsotonicRegression(),
        pipeline.make_pipeline(
            compose.ColumnTransformer([("scale", preprocessing.StandardScaler(), [0, 1])]),
            linear_model.Ridge(),
        ),
    ]
    for model in models:
        model.fit(x[:, 0] if isinstance(model, isotonic.IsotonicRegression) else x, y)
        with (folder / f"{type(model).__name__}.pkl").open("wb") as stream:
            pickle.dump(model, stream)
    words = feature_extraction.text.TfidfVectorizer().fit(["a model", "another model"])
    (folder / "TfidfVectorizer-protocol2.pkl").write_bytes(pickle.dumps(words, protocol=2))
    (folder / "LogisticRegression-protocol0.pkl").write_bytes(pickle.dumps(models[0], protocol=0))
    joblib.dump(models[2], folder / "forest.joblib")
    joblib.dump({"object": np.array(["a", None], dtype=object), "big": np.arange(99.0)}, folder / "arrays.joblib")
    for method in ("zlib", "gzip", "bz2", "xz", "lzma"):
        joblib.dump(models[0], folder / f"logistic-{method}.joblib", compress=(method, 3))
    skops.io.dump(models[0], folder / "logistic.skops")


def write_others(folder: Path) -> None:
    x, y = training_data()
    boosted = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(x, y)
    boosted.save_model(folder / "xgboost.json")
    (folder / "xgboost.pkl").write_bytes(pickle.dumps(boosted))
    light = lightgbm.LGBMClassifier(n_estimators=2, max_depth=2, verbose=-1).fit(x, y)
    light.booster_.save_model(folder / "lightgbm.txt")
    (folder / "lightgbm.pkl").write_bytes(pickle.dumps(light))
    (folder / "pandas.pkl").write_bytes(pickle.dumps(pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})))
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    scipy.sparse.save_npz(folder / "sparse.npz", matrix)
    (folder / "sparse.pkl").write_bytes(pickle.dumps(matrix))
    (folder / "forest.onnx").write_bytes(
        to_onnx(ensemble.RandomForestClassifier(2, max_depth=2).fit(x, y), x[:1]).SerializeToString()
    )


def write_torch(folder: Path) -> None:
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    state = {"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(net.state_dict(), folder / "state.pt")
    torch.save(state, folder / "checkpoint.pth")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(
        {"half": torch.ones(2, dtype=torch.bfloat16), "flags": torch.ones(2).bool()}, folder / "pytorch_model.bin"
    )


def write_mlflow(folder: Path) -> None:
    x, y = training_data()
    model = linear_model.LogisticRegression().fit(x, y)
    signature = mlflow.models.infer_signature(x, model.predict(x))
    requirements = ["scikit-learn"]
    mlflow.sklearn.save_model(
        model,
        folder / "mlflow-sklearn",
        signature=signature,
        pip_requirements=requirements,
        serialization_format="pickle",
    )
    graph = to_onnx(model, x[:1], options={"zipmap": False})
    onnx_signature = mlflow.models.infer_signature({"X": x}, {"label": y})
    mlflow.onnx.save_model(graph, folder / "mlflow-onnx", signature=onnx_signature, pip_requirements=["onnx"])


def main() -> None:
    for name, write in (
        ("scikit-learn", write_scikit_learn),
        ("others", write_others),
        ("torch", write_torch),
        ("mlflow", write_mlflow),
    ):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write(folder)
    versions = [f"{name} {importlib.metadata.version(name)}\n" for name in LIBRARIES]
    (HERE / "VERSIONS").write_text("".join(versions))


if __name__ == "__main__":
    main()
