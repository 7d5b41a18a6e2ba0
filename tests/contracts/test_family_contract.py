"""Is every model family lawful? The contract that outside plug-ins inherit, once for each of ours."""

from focal.testing import FamilyContract
from focal_algorithm.models import MODELS

for name in MODELS:
    title = f"Test_{name}"
    globals()[title] = type(title, (FamilyContract,), {"family": name})
