"""How much longer than elsewhere things may take here: ONGGI_TEST_SLOWER, a factor."""

import os

SLOWER = float(os.environ.get("ONGGI_TEST_SLOWER", "1"))
