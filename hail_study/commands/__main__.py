"""`python -m hail_study.commands`, where the console script is not on the path."""

import sys

from hail_study.commands import main

sys.exit(main())
