"""The files of an exported arm. Loads no torch."""

from typing import Final

WEIGHTS: Final = "best.safetensors"
CONFIGURATION: Final = "configuration.yaml"
ITEMS: Final = "items.json"
CARD: Final = "card.json"
