"""The joint study of method and hardware."""
