"""What a receiver has said already about the parts of a batch that comes again."""

from hashlib import blake2b

from attrs import define, field
from google.protobuf.message import Message

from hypervisor_observability.errors import Reject
from hypervisor_otel.splitting import Levels, assembled, leaves

_MAX_KNOWN = 100_000


@define(eq=False)
class Settled:
    """Keep what became of single items, until a request comes that holds none of them.

    A batch of which a part was accepted is offered again whole, or halved; what is known of it
    is not sent again, which would double it.

    Attributes:
        levels: What the messages of the signal are called.
    """

    levels: Levels
    _known: dict[bytes, Reject | None] = field(factory=dict, init=False)

    @property
    def knows_any(self) -> bool:
        """Whether anything is known: else all of a request is to be sent."""
        return bool(self._known)

    def note(self, part: Message, refusal: Reject | None = None) -> None:
        """Keep that every item of *part* was accepted, or met with *refusal*."""
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        for _, leaf in leaves(part, self.levels):
            self._known[_digest(leaf)] = refusal

    def unsettled(self, request: Message) -> tuple[Message | None, Reject | None]:
        """Give what of *request* is to be sent, and the refusal that some of the rest met.

        None: nothing is to be sent.
        """
        found = [(path, leaf, _digest(leaf)) for path, leaf in leaves(request, self.levels)]
        known = [digest for _, _, digest in found if digest in self._known]
        if not known:
            self._known.clear()
            return request, None
        refusal = next(filter(None, (self._known[digest] for digest in known)), None)
        rest = [(path, leaf) for path, leaf, digest in found if digest not in self._known]
        return (assembled(rest, type(request), self.levels) if rest else None), refusal


def _digest(leaf: Message) -> bytes:
    return blake2b(leaf.SerializeToString(), digest_size=16).digest()
