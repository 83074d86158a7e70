"""Train and evaluate letter models; needs `lettercast[train]`.

Example:
from lettercast.train import evaluate, train

run = train("my_letters/", init="letters-base", out="runs/mine")
print(run.validation.accuracy)
print(evaluate(run.model, "other_letters/").per_class()["A"])
"""

from typing import TYPE_CHECKING

from .. import lazily

if TYPE_CHECKING:
    from .data.open import open_source
    from .data.source import draw_all
    from .data.strokes import save_strokes
    from .evaluation import Evaluation, evaluate
    from .figures import confusion_figure, mistakes_figure
    from .plan import Epoch
    from .run import TrainingRun, train

# Each name is imported from its module when it is asked for.
HOMES = {
    "Epoch": "plan",
    "Evaluation": "evaluation",
    "TrainingRun": "run",
    "evaluate": "evaluation",
    "confusion_figure": "figures",
    "draw_all": "data.source",
    "mistakes_figure": "figures",
    "open_source": "data.open",
    "save_strokes": "data.strokes",
    "train": "run",
}
__all__ = [
    "train",
    "TrainingRun",
    "evaluate",
    "Evaluation",
    "Epoch",
    "open_source",
    "draw_all",
    "confusion_figure",
    "mistakes_figure",
    "save_strokes",
]
__getattr__ = lazily(__name__, HOMES)
