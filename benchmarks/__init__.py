"""Compare exported models with their original, and count errors on whole pages; needs `lettercast[export]`.

Example:
from lettercast.benchmarks import benchmark, evaluate_pages, show

result = benchmark("dist")
show(result)
print(evaluate_pages("letters-base", "pages/labels.csv").cer)
"""

from typing import TYPE_CHECKING

from .. import lazily

if TYPE_CHECKING:
    from .pages.scoring import PagesResult, evaluate_pages
    from .parity.benchmark import Benchmark, Row
    from .parity.measure import Latency
    from .parity.tables import show
    from .report import benchmark, html_page

# Each name is imported from its module when it is asked for.
HOMES = {
    "Benchmark": "parity.benchmark",
    "Latency": "parity.measure",
    "PagesResult": "pages.scoring",
    "Row": "parity.benchmark",
    "benchmark": "report",
    "evaluate_pages": "pages.scoring",
    "html_page": "report",
    "show": "parity.tables",
}
__all__ = ["benchmark", "Benchmark", "Row", "Latency", "evaluate_pages", "PagesResult", "show", "html_page"]
__getattr__ = lazily(__name__, HOMES)
