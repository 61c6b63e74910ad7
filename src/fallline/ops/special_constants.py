"""The numbers behind `special`: formats, reductions, and the fitted polynomials.

Each polynomial is the least-squares fit on 200 Chebyshev nodes, in 60 digits, each coefficient then
rounded to nearest. With mpmath (`mp.dps = 60`), `fit(f, a, b, count, weight)` is

    t = [(a + b) / 2 + (b - a) / 2 * cos(pi * (2 * i + 1) / 400) for i in range(200)]
    A = matrix(200, count); y = matrix(200, 1)
    for i in range(200):
        y[i] = weight(t[i]) * f(t[i])
        for k in range(count):
            A[i, k] = weight(t[i]) * t[i] ** k
    return lu_solve(A, y)  # ascending powers

    exponential  f(r) = (expm1(r) - r)/r²           on ±1.001·ln2/2    weight r²·e⁻ʳ
    logarithm    f(z) = (2·atanh(√z)/√z - 2)/z      on (0, 0.0401]     weight z/2
    erf_near     f(z) = erf(√z)/√z - 1              on (0, edge²]      weight 1
    erf_far      f(x) = log(erfc(x))                on [edge, top]     weight erfc(x)
    ATANH        f(z) = (atanh(√z)/√z - 1 - z/3)/z² on (0, 0.0295]     weight z²

with count the number of coefficients below; edge and top are `erf_edge` and `erf_top`. The weighted
error that is left lies below 2⁻²⁸ for float32, 2⁻⁵⁵ for float64 and 2⁻⁶⁶ for ATANH.
"""

from dataclasses import dataclass

from fallline.ir.types import DType

Coefficients = tuple[float, ...]
"""Of a polynomial, ascending powers."""

LOG2_E = 1.4426950408889634  # 1/ln 2


@dataclass(frozen=True, slots=True)
class Format:
    """A floating-point format, and what the functions need to know for it."""

    dtype: DType
    integer: DType  # of the same width
    digits: int  # stored bits of the mantissa
    bias: int  # of the exponent
    smallest_normal: float
    ln2_high: float  # so few bits that n·ln2_high is exact for every exponent n
    ln2_low: float
    exp_low: float  # below it eˣ rounds to 0
    exp_high: float  # above it eˣ is infinite
    expm1_low: float  # below it eˣ − 1 rounds to −1
    tanh_top: float  # above it tanh rounds to 1
    sqrt_half: int  # the upper bits of √½
    exponential: Coefficients
    logarithm: Coefficients
    erf_edge: float
    erf_top: float  # above it erf rounds to 1
    erf_near: Coefficients
    erf_far: Coefficients

    @property
    def sign(self) -> int:
        """The bits of −0."""
        return -(2**31) if self.integer is DType.INT32 else -(2**63)

    @property
    def one_and_a_half(self) -> float:
        """1.5·2^digits: added to a small number it leaves the nearest whole number in the lowest bits."""
        return 1.5 * 2.0**self.digits

    @property
    def epsilon(self) -> float:
        """2^−digits: the distance from 1 to the next number."""
        return 2.0**-self.digits


_FLOAT32 = Format(
    dtype=DType.FLOAT32,
    integer=DType.INT32,
    digits=23,
    bias=127,
    smallest_normal=2.0**-126,
    ln2_high=float.fromhex("0x1.62e4p-1"),
    ln2_low=float.fromhex("0x1.7f7d1cf79abcap-20"),
    exp_low=-104.0,
    exp_high=89.0,
    expm1_low=-20.0,
    tanh_top=10.0,
    sqrt_half=0x3F350000,
    exponential=(0.49999988, 0.16666518, 0.041669544, 0.008368988, 0.001375115),
    logarithm=(0.66666955, 0.39957267, 0.30370826),
    erf_edge=0.8,
    erf_top=4.0,
    erf_near=(0.12837917, -0.37612602, 0.11283137, -0.02682185, 0.0050869775, -0.0006546707),
    erf_far=(
        -5.5201977e-05,
        -1.1282804,
        -0.6361219,
        -0.10489948,
        0.022711664,
        -0.0031694304,
        0.00020927774,
    ),
)

_FLOAT64 = Format(
    dtype=DType.FLOAT64,
    integer=DType.INT64,
    digits=52,
    bias=1023,
    smallest_normal=2.0**-1022,
    ln2_high=float.fromhex("0x1.62e42fefa3800p-1"),
    ln2_low=float.fromhex("0x1.ef35793c76730p-45"),
    exp_low=-746.0,
    exp_high=710.0,
    expm1_low=-40.0,
    tanh_top=20.0,
    sqrt_half=0x3FE6A00000000000,
    exponential=(
        0.5000000000000013,
        0.1666666666666648,
        0.041666666666515126,
        0.008333333333452386,
        0.0013888888947024378,
        0.00019841269595636865,
        2.480148995975424e-05,
        2.7557508052114818e-06,
        2.7631272551070285e-07,
        2.5024585741429218e-08,
    ),
    logarithm=(
        0.6666666666667298,
        0.3999999999604385,
        0.2857142941361149,
        0.22222137145342638,
        0.18186407794789666,
        0.15249207648525331,
        0.1537550979070513,
    ),
    erf_edge=1.0,
    erf_top=5.93,
    erf_near=(
        0.12837916709551256,
        -0.37612638903183543,
        0.1128379167094513,
        -0.026866170643256995,
        0.005223977607269946,
        -0.0008548325982543225,
        0.00012055295112667001,
        -1.4924740785377569e-05,
        1.6447471190594543e-06,
        -1.6208829856809678e-07,
        1.3721520406348998e-08,
        -7.798543850546302e-10,
    ),
    erf_far=(
        -5.264032601092503e-07,
        -1.1283738668491594,
        -0.6366446050201937,
        -0.10270079684516961,
        0.018985244502105605,
        0.0004173753241846606,
        -0.0019229390645210825,
        0.0007762594480193053,
        -0.00013858428980944375,
        -1.851407565867651e-05,
        2.2137551034979332e-05,
        -8.457423121942845e-06,
        2.085975936033085e-06,
        -3.6438029528024704e-07,
        4.525100994883009e-08,
        -3.8281568672320085e-09,
        1.9858328608492405e-10,
        -4.77590434835959e-12,
    ),
)

FORMATS = {DType.FLOAT32: _FLOAT32, DType.FLOAT64: _FLOAT64}

ATANH: Coefficients = (
    0.20000000000001206,
    0.1428571428501702,
    0.11111111265316566,
    0.0909089174581789,
    0.07693397769552208,
    0.06627983097221511,
    0.06601975829206723,
)
"""Of (atanh s)/s beyond 1 + z/3, z = s²: for the logarithm of `power` in twice float64's precision."""

THIRD = (0.3333333333333333, 1.850371707708594e-17)  # ⅓ = high + low
