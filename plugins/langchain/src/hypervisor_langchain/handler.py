"""The handler that LangChain calls, and where it looks for it.

LangChain is imported when these functions are called: by then the application has done so.
"""

from contextvars import ContextVar
from typing import Any, Self

from hypervisor_langchain.chains import Chains
from hypervisor_langchain.models import Models
from hypervisor_langchain.tools import Tools
from hypervisor_langchain.work import Work


def make_handler(work: Work) -> Any:
    """Make the handler. None of its callbacks raises, whatever happens in it."""
    from langchain_core.callbacks.base import BaseCallbackHandler

    class Handler(BaseCallbackHandler):
        """Observes."""

        # Or LangChain would call it in a thread, and for a tool in another context.
        run_inline = True
        # Each attempt is a call of its own, and what the application dispatches is not ours.
        ignore_retry = True
        ignore_custom_event = True

        def __reduce__(self) -> tuple[Any, ...]:
            # What the application pickles of its calls has one in it that does nothing.
            return BaseCallbackHandler, ()

        def __copy__(self) -> Self:
            return self

        def __deepcopy__(self, memo: object) -> Self:
            return self  # a copy in a user's configuration would see everything again

    handler, guarded = Handler(), work.context.guarded
    chains = Chains(work)
    models, tools = Models(work, chains), Tools(work, chains)
    handler.on_chain_start = guarded(chains.started)
    handler.on_chain_end = guarded(chains.ended)
    handler.on_chain_error = guarded(chains.failed)
    handler.on_chat_model_start = guarded(models.chat_started)
    handler.on_llm_start = guarded(models.completion_started)
    handler.on_llm_new_token = handler.on_stream_event = guarded(models.first_token)
    handler.on_llm_end = guarded(models.ended)
    handler.on_llm_error = guarded(models.failed)
    handler.on_tool_start = guarded(tools.started)
    handler.on_retriever_start = guarded(tools.retrieval_started)
    handler.on_tool_end = handler.on_retriever_end = guarded(tools.ended)
    handler.on_tool_error = handler.on_retriever_error = guarded(tools.failed)
    return handler


def register(handler: Any) -> object:
    """Have LangChain add *handler* to every call; give what ``withdraw`` needs."""
    from langchain_core.tracers.context import register_configure_hook

    # A default is there in every thread; what is set is there in this context alone.
    variable = ContextVar[Any]("hypervisor_langchain", default=handler)
    register_configure_hook(variable, inheritable=True)
    return variable


def withdraw(variable: object) -> None:
    """Leave LangChain's hooks as they were before ``register``."""
    from langchain_core.tracers.context import _configure_hooks

    _configure_hooks[:] = [hook for hook in _configure_hooks if hook[0] is not variable]
