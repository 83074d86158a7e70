"""From a photographed page to letter crops in reading order."""
