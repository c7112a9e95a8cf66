"""What a command says of one plugin."""

from attrs import define


@define(eq=False)
class Answer:
    """What became of a plugin's check, or of its start.

    Attributes:
        name: The plugin's; ``[state]`` for the state directory.
        state: ``ok``, ``failed``, or ``unchecked`` where the plugin has no such hook.
        message: What it said.
    """

    name: str
    state: str
    message: str
