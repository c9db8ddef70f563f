"""Which importable names a pickle may mention.

Loading a pickle calls whatever it names, so names are allowed one by one (or a library's plain classes together), never
refused one by one. What is not allowed is quarantined; what is known to be a way to run code is rejected (picklescan
maintains that list, and a few modules are added to it here).
"""

import io
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from functools import lru_cache

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from anfl.inspection.codes import Code, Finding

_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
_NUMPY_DTYPES = (
    "bool bool_ byte bytes_ cdouble clongdouble complex128 complex64 csingle datetime64 double float16 float32 float64"
    " half int16 int32 int64 int8 intc intp long longdouble longlong object_ short single str_ timedelta64 ubyte uint"
    " uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong ushort void"
)
_TORCH_TYPES = (
    "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage"
    " FloatStorage HalfStorage IntStorage LongStorage QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage"
    " QUInt8Storage ShortStorage Size Tensor bfloat16 bool complex128 complex64 device dtype float16 float32 float64"
    " int16 int32 int64 int8 uint8 float8_e4m3fn float8_e5m2"
)
_RANDOM = "__randomstate_ctor __generator_ctor __bit_generator_ctor"
_ALLOWED: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "builtins": _BUILTINS,
        "collections": "OrderedDict defaultdict deque Counter",
        "copyreg": "_reconstructor",
        "_codecs": "encode",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "numpy": f"dtype ndarray {_NUMPY_DTYPES}",
        "numpy.core.multiarray": "_reconstruct scalar",
        "numpy._core.multiarray": "_reconstruct scalar",
        "numpy.core.numeric": "_frombuffer",
        "numpy._core.numeric": "_frombuffer",
        "numpy.ma": "MaskedArray",
        "numpy.ma.core": "MaskedArray _mareconstruct",
        "numpy.random._pickle": _RANDOM,
        "numpy.random.mtrand": "RandomState",
        "numpy.random._generator": "Generator",
        "numpy.random._mt19937": "MT19937",
        "numpy.random._pcg64": "PCG64 PCG64DXSM",
        "numpy.random._philox": "Philox",
        "numpy.random._sfc64": "SFC64",
        "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
        "joblib.numpy_pickle": "NumpyArrayWrapper",
        "scipy.sparse._csr": "csr_matrix csr_array",
        "scipy.sparse._csc": "csc_matrix csc_array",
        "scipy.sparse._coo": "coo_matrix coo_array",
        "torch": _TORCH_TYPES,
        "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter _rebuild_parameter_with_state",
        "torch.nn.parameter": "Parameter Buffer",
        "torch.serialization": "_get_layout",
        "torch.storage": "UntypedStorage TypedStorage",
        "pandas": "CategoricalDtype DataFrame DatetimeIndex Index MultiIndex RangeIndex Series StringDtype Timestamp",
        "pandas.arrays": "ArrowStringArray BooleanArray Categorical DatetimeArray FloatingArray IntegerArray"
        " StringArray",
        "pandas.core.frame": "DataFrame",
        "pandas.core.series": "Series",
        "pandas.core.indexes.base": "Index _new_Index",
        "pandas.core.indexes.range": "RangeIndex",
        "pandas.core.internals.managers": "BlockManager SingleBlockManager",
        "pandas._libs.internals": "_unpickle_block",
        "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
        "sklearn.tree._tree": "Tree",
        "sklearn.utils._bunch": "Bunch",
        "sklearn.metrics._dist_metrics": "newObj",
        "sklearn.neighbors._kd_tree": "newObj KDTree KDTree64 KDTree32",
        "sklearn.neighbors._ball_tree": "newObj BallTree BallTree64 BallTree32",
        "xgboost.core": "Booster",
        "lightgbm.basic": "Booster",
    }.items()
}
_ESTIMATORS = re.compile(
    r"sklearn\.(?:_loss|calibration|cluster|compose|covariance|cross_decomposition|decomposition|discriminant_analysis"
    r"|dummy|ensemble|feature_extraction|feature_selection|gaussian_process|impute|isotonic|kernel_approximation"
    r"|kernel_ridge|linear_model|manifold|metrics\._dist_metrics|mixture|model_selection|multiclass|multioutput"
    r"|naive_bayes|neighbors|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm|tree)"
    r"(?:\.(?!tests?(?:\.|$))_?\w+)*"
)
"""Modules of estimators: of these, classes (names in CamelCase) are allowed. Their tests bring what fits no model."""
_CLASS = re.compile(r"_?[A-Z][A-Za-z0-9]*")
_BORROWED = frozenset(
    ["ABC", "ABCMeta", "BytesIO", "Callable", "Memory", "Mock", "Parallel", "Path", "StringIO", "ThreadpoolController"]
)
"""Names of others that such modules import for themselves: they make classes, files and processes."""
_BOOSTED = {"xgboost.sklearn": re.compile(r"XGB[A-Za-z0-9]+"), "lightgbm.sklearn": re.compile(r"LGBM[A-Za-z0-9]+")}
"""Modules whose own classes are called so; among the others is `DMatrix`, which reads and writes files."""
_LONGEST = 512
_WAYS_TO_RUN_CODE = re.compile(
    r"_?(?:builtins|code|codeop|ctypes|ftplib|http|importlib|inspect|io|marshal|multiprocessing|nt|ntpath|os|pathlib"
    r"|pickle|pickletools|pkgutil|platform|posix|posixpath|pty|requests|runpy|shelve|shutil|signal|site|smtplib|socket"
    r"|socketserver|subprocess|posixsubprocess|imp|frozen_importlib|frozen_importlib_external|sys|tempfile|thread|threading|torch\.hub|types|urllib|webbrowser|zipimport)(?:\..*)?"
)


@lru_cache(maxsize=4096)
def judge(module: str, name: str) -> Finding | None:
    """The finding that a pickle's import of ``name`` from ``module`` is; None where it is allowed."""
    if len(module) + len(name) > _LONGEST:
        return Finding(Code.OBSCURED_GLOBAL, f"imports a name of {len(module) + len(name)} characters")
    if "\n" in module or "\n" in name or not module or not name:
        return Finding(Code.OBSCURED_GLOBAL, f"imports {name!r} from {module!r}")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    if name in _ALLOWED.get(module, frozenset()):
        return None
    if _ESTIMATORS.fullmatch(module) and _CLASS.fullmatch(name) and name not in _BORROWED:
        return None
    if module in _BOOSTED and _BOOSTED[module].fullmatch(name):
        return None
    if _WAYS_TO_RUN_CODE.fullmatch(module) or _is_known_danger(module, name):
        return Finding(Code.DANGEROUS_GLOBAL, f"loading it would call {module}.{name}")
    return Finding(Code.UNLISTED_GLOBAL, f"loading it would import {module}.{name}, which is not on the allow-list")


def _is_known_danger(module: str, name: str) -> bool:
    """Whether picklescan knows the name: it is asked about a pickle that does nothing but import it."""
    imports_it = f"c{module}\n{name}\n.".encode(errors="replace")
    scanned = scan_pickle_bytes(io.BytesIO(imports_it), "")
    return scanned.scan_err or any(found.safety is SafetyLevel.Dangerous for found in scanned.globals)
