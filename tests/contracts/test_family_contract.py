"""Is every model family lawful? The contract that outside plug-ins inherit, once for each of ours."""

from focal.testing import FamilyContract
from focal_algorithm.models import MODELS

# Both as in the published Focus artifact, whatever the picture: seven frames for one image, a stride of sliced frames.
PUBLISHED_GRIDS = {"llava_onevision": ("image",), "minicpm_v": ("video",)}

for name in MODELS:
    title = f"Test_{name}"
    own = {"family": name, "published_grids": PUBLISHED_GRIDS.get(name, ())}
    globals()[title] = type(title, (FamilyContract,), own)
