"""Classes of LangChain and LangGraph, by which their objects are known.

Objects of the application come by, too: those are asked nothing, not even for an attribute, which
may be a property that reads from a network, or raises.
"""

import sys
from typing import Any


def is_a(thing: object, module: str, name: str) -> bool:
    """Tell whether *thing* is of the class *name* of that *module*, or of one below it.

    Whoever has such an object has imported its module.
    """
    found = getattr(sys.modules.get(module), name, None)
    # isinstance() would ask a proxy for the class of what it stands for.
    return isinstance(found, type) and issubclass(type(thing), found)


def is_message(thing: object) -> bool:
    """Tell whether *thing* is a message of LangChain's."""
    return is_a(thing, "langchain_core.messages.base", "BaseMessage")


def is_command(thing: object) -> bool:
    """Tell whether *thing* is a command of LangGraph's."""
    return is_a(thing, "langgraph.types", "Command")


def call_around() -> Any:
    """Give the id of the call that the running code is in, as LangChain hands it on; None: none."""
    module = sys.modules.get("langchain_core.runnables.config")
    variable = getattr(module, "var_child_runnable_config", None)
    config = None if variable is None else variable.get()
    callbacks = config.get("callbacks") if isinstance(config, dict) else None
    return getattr(callbacks, "parent_run_id", None)
