"""TEMPORARY."""


def _todo(e, *x):
    raise NotImplementedError


exp = log = expm1 = log1p = tanh = sigmoid = softplus = erf = power = _todo
