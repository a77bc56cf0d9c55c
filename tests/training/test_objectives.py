"""What a task is trained for."""

import pytest

from edgewright import registry
from edgewright.bundle.manifest import Settings
from edgewright.errors import UsageError
from edgewright.training.objectives import objective_of


def task_of(name, **fields):
    return registry.load("tasks", name)(Settings(max_length=32, **fields))


def test_tasks_without_labels_are_not_trained():
    with pytest.raises(UsageError, match="feature-extraction cannot be trained"):
        objective_of(task_of("feature-extraction"))
