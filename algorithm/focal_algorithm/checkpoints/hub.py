"""A checkpoint of the Hub at a named revision, as a local folder."""

from __future__ import annotations

from pathlib import Path

from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED
from focal_common.errors import ConfigError


def pinned(model: str, revision: str, is_offline: bool) -> tuple[str, str]:
    """Return where to load a model from, and how results call it; raises what `local_snapshot` raises.

    Args:
        model: Shipped model, family, folder or Hub name.
        revision: Revision of a Hub name; without effect on others, empty for its newest.
        is_offline: Whether only the local cache may be used.

    Returns:
        The name itself and an empty text; or the folder of a snapshot and the Hub name with its commit.
    """
    if not revision or model in (*MODELS, *SHIPPED) or Path(model).is_dir():
        return model, ""
    folder = local_snapshot(model, revision, is_offline)  # named after its commit
    return str(folder), f"{model}@{folder.name}"


def local_snapshot(name: str, revision: str, is_offline: bool) -> Path:
    """Return the folder of a Hub checkpoint at a revision, downloading it where that is allowed.

    Args:
        name: Hub name.
        revision: Commit, branch or tag.
        is_offline: Whether only the local cache may be used.

    Raises:
        ConfigError: It is not in the cache and must not, or cannot, be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=is_offline))
    except LocalEntryNotFoundError as error:
        how = "this run is offline" if is_offline else "the Hub cannot be reached"
        raise ConfigError(
            f"{name}, revision {revision}: the checkpoint is not in the local cache and {how}; download it "
            "first, or name a folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ConfigError(
            f"{name}, revision {revision}: cannot be had from the Hub ({' '.join(str(error).split())[:160]})"
        ) from error
