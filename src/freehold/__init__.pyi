"""What type checkers and editors know of `import freehold`; tests hold it equal to the table of `__init__.py`."""

from freehold.api.project import FreeholdProject
from freehold.api.questions import compare as compare
from freehold.api.questions import cost as cost
from freehold.api.questions import evaluate as evaluate
from freehold.api.questions import fit as fit
from freehold.api.questions import license as license
from freehold.api.questions import power as power
from freehold.api.questions import scan as scan
from freehold.api.questions import tasks as tasks
from freehold.errors import FreeholdError as FreeholdError
from freehold.types.cost import Cost as Cost
from freehold.types.dataset import Dataset as Dataset
from freehold.types.evaluation import Comparison as Comparison
from freehold.types.license import Ruling as Ruling
from freehold.types.machine import Fit as Fit
from freehold.types.report import Report as Report
from freehold.types.verdict import Verdict as Verdict

__version__: str
Project = FreeholdProject
