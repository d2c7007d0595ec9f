"""How much longer than elsewhere things may take here: ONGGI_TEST_SLOWER, a factor."""

import os

SLOWER = float(os.environ.get("ONGGI_TEST_SLOWER", "1"))
FEWEST_ROUNDS = 8


def rounds(count: int) -> int:
    """Say how often to try in a race: fewer times where each takes longer, so that it ends."""
    return max(round(count / SLOWER), min(count, FEWEST_ROUNDS))
