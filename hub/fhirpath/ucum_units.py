"""The table of units: what laboratories, wards and prescriptions write, in UCUM's case sensitive codes.

Amounts of substance, equivalents, osmoles and arbitrary units are dimensions of their own here. UCUM makes a mole a
pure number and an equivalent a mole, so that 1 mol would equal 6e23 and 1 meq always 1 mmol; a comparison of those
has no answer rather than a misleading one.
"""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType

_PREFIXES = """
    Y 24  Z 21  E 18  P 15  T 12  G 9  M 6  k 3  h 2  da 1
    d -1  c -2  m -3  u -6  n -9  p -12  f -15  a -18  z -21  y -24
"""
_METRIC_BASE = "m s g rad K C cd mol eq osm B Np [iU] [arb'U] [CFU] [PFU]"
_OTHER_BASE = (
    "[USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [todd'U] [dye'U] [smgy'U] [bdsk'U] [ka'U] [knk'U] [mclg'U]"
    " [tb'U] [CCID_50] [TCID_50] [EID_50] [FFU] [BAU] [AU] [Amb'a'1'U] [D'ag'U] [HPF] [LPF] [pH] [S]"
)
_METRIC = """
    L 1 dm3               l 1 dm3                t 1000 kg               u 1.66053906660e-24 g   ar 100 m2
    st 1 m3               Hz 1 /s                N 1 kg.m/s2             Pa 1 N/m2               bar 100000 Pa
    J 1 N.m               W 1 J/s                A 1 C/s                 V 1 J/C                 F 1 C/V
    Ohm 1 V/A             S 1 A/V                Wb 1 V.s                T 1 Wb/m2               H 1 Wb/A
    sr 1 rad2             lm 1 cd.sr             lx 1 lm/m2              Bq 1 /s                 Ci 37000000000 Bq
    Gy 1 J/kg             Sv 1 J/kg              RAD 0.01 J/kg           REM 0.01 J/kg           kat 1 mol/s
    U 1 umol/min          cal 4.184 J            cal_IT 4.1868 J         cal_th 4.184 J          eV 1.602176634e-19 J
    dyn 0.00001 N         erg 0.0000001 J        P 0.1 Pa.s              St 0.0001 m2/s          G 0.0001 T
    g% 1 g/dL             m[Hg] 133.322 kPa      m[H2O] 9.80665 kPa      [IU] 1 [iU]             [PRU] 1 mm[Hg].s/mL
"""
_OTHER = """
    % 0.01 1              [ppth] 0.001 1         [ppm] 1e-6 1            [ppb] 1e-9 1            [pptr] 1e-12 1
    min 60 s              h 3600 s               d 86400 s               wk 604800 s             a 31557600 s
    mo 2629800 s          a_j 31557600 s         mo_j 2629800 s          a_g 31556952 s          mo_g 2629746 s
    [in_i] 2.54 cm        [ft_i] 30.48 cm        [yd_i] 91.44 cm         [mi_i] 160934.4 cm      [nmi_i] 1852 m
    [sin_i] 6.4516 cm2    [sft_i] 929.0304 cm2   [cin_i] 16.387064 cm3   [cft_i] 28316.846592 cm3
    [lb_av] 453.59237 g   [oz_av] 28.349523125 g [gr] 64.79891 mg        [stone_av] 6350.29318 g
    [oz_tr] 31.1034768 g  [lb_tr] 373.2417216 g  [car_m] 0.2 g           [dr_av] 1.7718451953125 g
    [drp] 0.05 mL         [tsp_us] 4.92892159375 mL
    [gal_us] 3785.411784 mL   [qt_us] 946.352946 mL     [pt_us] 473.176473 mL      [cup_us] 236.5882365 mL
    [foz_us] 29.5735295625 mL [tbs_us] 14.78676478125 mL [foz_br] 28.4130625 mL    [pt_br] 568.26125 mL
    [gal_br] 4546.09 mL   [cup_m] 240 mL         [foz_m] 30 mL           [tsp_m] 5 mL            [tbs_m] 15 mL
    atm 101325 Pa         [psi] 6894.757293168361 Pa    [in_i'Hg] 3386.3788 Pa     [in_i'H2O] 249.08891 Pa
    [Cal] 4184 J          [Btu] 1055.05585262 J  [lbf_av] 4.4482216152605 N        [HP] 745.69987158227 W
    deg 0.0174532925199432958 rad                [MET] 3.5 mL/min/kg     [pi] 3.14159265358979324 1
"""


def _read(table: str) -> dict[str, tuple[Fraction, str]]:
    words = table.split()
    return {
        name: (Fraction(factor), unit) for name, factor, unit in zip(words[::3], words[1::3], words[2::3], strict=True)
    }


def _read_prefixes() -> dict[str, Fraction]:
    words = _PREFIXES.split()
    return {name: Fraction(10) ** int(power) for name, power in zip(words[::2], words[1::2], strict=True)}


PREFIXES = MappingProxyType(_read_prefixes())
ATOMS = MappingProxyType(
    {name: (Fraction(1), name) for name in f"{_METRIC_BASE} {_OTHER_BASE}".split()} | _read(_METRIC) | _read(_OTHER)
)
"""Code -> (factor, the unit it is that many of); a base unit is one of itself."""

METRIC = frozenset(_METRIC_BASE.split()) | frozenset(_read(_METRIC))
"""The atoms that take a prefix."""

OFFSETS = MappingProxyType(
    {
        "Cel": (Fraction(1), Fraction("273.15")),
        "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    }
)
"""Temperatures: kelvin = value * factor + offset. They stand alone, there is no mmol/Cel."""
