"""A checkpoint of the Hub at a named revision, as a local folder."""

from __future__ import annotations

from pathlib import Path

from focal_common.errors import ConfigError

__all__ = ["local_snapshot"]


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
