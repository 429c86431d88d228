"""`freehold.toml`: what people write. One file a group of tables; `project` has the whole and reads it."""

from freehold.types.config.candidates import (
    DEFAULT_MODEL,
    CandidateConfig,
    MethodSettings,
    SelectionConfig,
)
from freehold.types.config.cluster import ClusterConfig
from freehold.types.config.data import CurateConfig, DataConfig, PersonalData
from freehold.types.config.defer import DeferConfig
from freehold.types.config.project import (
    AppConfig,
    IncumbentConfig,
    ProjectConfig,
    ServeConfig,
    TaskConfig,
    parse,
    usable_name,
)
from freehold.types.config.table import Table
from freehold.types.config.traffic import (
    CaptureConfig,
    CaptureMode,
    EndpointConfig,
    PriceConfig,
    RolloutConfig,
    RouteConfig,
    WatchConfig,
)
from freehold.types.config.train import FinetuneConfig, Method
from freehold.types.config.use import Mode, UseProfile

__all__ = [
    "DEFAULT_MODEL",
    "AppConfig",
    "CandidateConfig",
    "CaptureConfig",
    "CaptureMode",
    "ClusterConfig",
    "CurateConfig",
    "DataConfig",
    "DeferConfig",
    "EndpointConfig",
    "FinetuneConfig",
    "IncumbentConfig",
    "Method",
    "MethodSettings",
    "Mode",
    "PersonalData",
    "PriceConfig",
    "ProjectConfig",
    "RolloutConfig",
    "RouteConfig",
    "SelectionConfig",
    "ServeConfig",
    "Table",
    "TaskConfig",
    "UseProfile",
    "WatchConfig",
    "parse",
    "usable_name",
]
