"""What spark-submit runs: `clm`, with the arguments that follow. Of jobs/ its modules would hide Python's own."""

import sys

from jobs.__main__ import main

sys.exit(main())
