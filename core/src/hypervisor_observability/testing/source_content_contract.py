"""What a source puts into payloads: what the user has asked for, and no secrets."""

from collections.abc import Sequence

from ..events.event import HypervisorEvent
from ..host.observability import Observability
from .readers import TakingReader
from .source_samples import one_tool
from .source_scripts import AgentScript, Say, Usage
from .source_tests import WIDE_SECONDS, SourceTests

_MIB = 1024 * 1024
_CITY = "Trondheim-7f3a"
_REQUEST = "request-8b1c"
_RESULT = "result-2d9e"
_ANSWER = "answer-6c4b"
_SECRET = "hunter2-5e0d"
_CONTENTS = (_CITY, _REQUEST, _RESULT, _ANSWER, _SECRET)


def look_up(city: str, password: str) -> str:
    """Look up the weather of a city."""
    return _RESULT if password else city


def _script() -> AgentScript:
    script = one_tool(look_up, city=_CITY, password=_SECRET)
    return AgentScript(script.name, (script.turns[0], Say(_ANSWER, Usage(30, 7))), script.tools)


class ContentContract(SourceTests):
    """What a source puts into payloads."""

    def test_content_none_leaves_out_everything(self) -> None:
        """Neither names nor values: ask ``context.content_of`` for all that is content."""
        for told in self._told("none"):
            found = [one for one in (*_CONTENTS, "password") if one in told]
            assert not found, f"content is 'none', and payloads have {found}: use content_of()"

    def test_content_names_gives_the_names_of_arguments(self) -> None:
        """But no values, no prompts and no answers."""
        for told in self._told("names"):
            found = [one for one in _CONTENTS if one in told]
            assert not found, f"content is 'names', and payloads have {found}: use content_of()"
            assert "password" in told, (
                "content is 'names', and the names of a tool's arguments are missing: give"
                " content_of(arguments=...) a mapping"
            )

    def test_content_all_gives_everything_but_secrets(self) -> None:
        """The gate takes secrets out by the names of arguments, so keep them beside the values."""
        reader = TakingReader()
        for told in self._told("all", reader):
            assert _CITY in told, "content is 'all', and the values of arguments are missing"
        assert any(_CITY in str(one.payload) for one in reader.events), "they are exported, too"
        leaks = [one.event_type.value for one in reader.events if _SECRET in str(one.payload)]
        assert not leaks, f"a password leaves the process in {leaks}: give arguments as a mapping"

    def test_huge_prompts_are_no_trouble(self) -> None:
        """Ten mebibytes of prompt, argument and result."""

        def repeat(text: str) -> str:
            """Say it again."""
            return text

        huge = "x" * (10 * _MIB)
        for content in ("none", "names", "all"):
            self._check_huge(content, one_tool(repeat, text=huge), huge)

    def _check_huge(self, content: str, script: AgentScript, huge: str) -> None:
        way = self.ways()[0]
        reader = TakingReader()
        with self.observed(reader, content=content) as observability:
            self.played(way, script, huge)
            seen = self.seen(observability)
            assert observability.flush(WIDE_SECONDS), "the events are delivered"
        assert len(reader.events) == len(seen.events), "no event is refused for its size"
        most = max(len(str(one.payload)) for one in reader.events)
        limit = 2 * _MIB if content == "all" else 10_000
        assert most < limit, f"content is {content!r}, and a payload has {most} characters"

    def _told(self, content: str, *readers: object) -> list[str]:
        """Play in each way; give all payloads of each as a text."""
        told = []
        for way in self.ways():
            with self.observed(*readers, content=content) as observability:
                self.played(way, _script(), _REQUEST)
                told.append(_text(self.seen(observability).events))
                _flush(observability, readers)
        return told


def _flush(observability: Observability, readers: Sequence[object]) -> None:
    if readers:
        assert observability.flush(WIDE_SECONDS), "the events are delivered"


def _text(events: Sequence[HypervisorEvent]) -> str:
    return "\n".join(str(one.payload) for one in events)
