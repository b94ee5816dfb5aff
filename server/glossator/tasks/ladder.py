"""What has been tried for one change: which proposal is the best, which text was proposed before, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from glossator.tasks.task import Proposal, State

MOST_TRIES = 3

_RANK = {state: rank for rank, state in enumerate(State)}
_ON_REQUEST = frozenset({State.WORSE, State.SUPPRESSED})


@dataclass(slots=True)
class Tries:
    """The tries so far; `unproven` lets the user have even what its checker finds worse or only silenced."""

    base: str
    unproven: bool = False
    count: int = 0
    _seen: set[str] = field(default_factory=set)
    _proposals: list[Proposal] = field(default_factory=list)

    @property
    def left(self) -> bool:
        return self.count < MOST_TRIES

    def repeats(self, text: str) -> bool:
        """Say whether this text was proposed before or is where we began: asking on would go in a circle."""
        return text == self.base or text in self._seen

    def add(self, proposal: Proposal) -> None:
        """Remember a proposal with its verdict."""
        self._seen.add(proposal.text)
        self._proposals.append(proposal)

    @property
    def best(self) -> Proposal | None:
        """The best proposal that may be offered; of two as good as each other the later, which knew more."""
        fit = [proposal for proposal in self._proposals if self._may_be_offered(proposal)]
        return min(reversed(fit), key=lambda proposal: _RANK[proposal.verdict.state], default=None)

    @property
    def withheld(self) -> Proposal | None:
        """The last proposal that may not be offered."""
        return next((one for one in reversed(self._proposals) if not self._may_be_offered(one)), None)

    def _may_be_offered(self, proposal: Proposal) -> bool:
        state = proposal.verdict.state
        if proposal.verdict.withheld or (proposal.author.toy and state is not State.FIXED):
            return False
        return self.unproven or state not in _ON_REQUEST
