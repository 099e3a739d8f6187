"""Names for the numbers that the formulas take: written once, they serve a report and a simulation of a thousand streams."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Numbers = float | Floats
"""One number, or an array of them. Formulas give an array of the same shape; of one number, a scalar that float() takes."""
