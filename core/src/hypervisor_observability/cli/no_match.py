"""Say why nothing matches: a word that occurs nowhere, and the one that may have been meant."""

import difflib
from collections.abc import Collection, Iterable

from ..events.event import HypervisorEvent
from ..events.event_types import EventType
from ..facts.trouble import is_trouble
from ..search.choice import Choice, matches

_MOST_WORDS = 10_000
_SHOWN = 6


def explain(choice: Choice, events: Iterable[HypervisorEvent]) -> list[str]:
    """Give a line for each word of *choice* that none of the *events* has.

    Args:
        choice: What matched nothing.
        events: All that there are.
    """
    types: dict[str, None] = {}
    agents: dict[str, None] = {}
    sessions: dict[str, None] = {}
    empty, wrong, missing = True, False, list(choice.text)
    for event in events:
        empty = False
        choice.names.meet(event)
        wrong = wrong or (choice.wrong_only and is_trouble(event))
        if missing:
            absent = set(choice.missing_words(event))
            missing = [word for word in missing if word in absent]
        for words, word in (
            (types, event.event_type.value),
            (agents, event.agent_did),
            (sessions, event.session_id),
        ):
            if word is not None and len(words) < _MOST_WORDS:
                words[word] = None
    if empty:
        return ["no events"]
    names = [*dict.fromkeys([*agents, *choice.names.all()])]  # a name may be the DID
    session = choice.wanted.session_id
    asked: tuple[tuple[str, str | None, Collection[str], list[str]], ...] = (
        ("event has the type", choice.event_type, types, [one.value for one in EventType]),
        ("agent has the DID or name", choice.agent, names, []),
        ("session has the id", session, sessions, []),
    )
    lines = [
        f"no {what} {word!r}{_hint(word, list(found), further)}"
        for what, word, found, further in asked
        if word is not None and not any(matches(one, word) for one in found)
    ]
    lines += [f"no event has the text {word!r}" for word in missing]
    if choice.wrong_only and not wrong:
        lines.append("no event says that something went wrong")
    return lines or ["no event matches all of these options"]


def _hint(word: str, found: list[str], further: list[str]) -> str:
    """Suggest what occurs, and else what is known."""
    plain = word.strip("*?").lower()
    for words in (found, further):
        holding = [one for one in words if plain and plain in one.lower()]
        close = difflib.get_close_matches(word, words, _SHOWN)
        likely = [*dict.fromkeys([*holding, *close])][:_SHOWN]
        if likely:
            return f" (did you mean {' or '.join(map(repr, likely))}?)"
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f" (there are: {', '.join(found[:_SHOWN])}{more})"
