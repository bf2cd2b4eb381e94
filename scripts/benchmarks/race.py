"""A race, in which the opponents of a case train in turns."""

__all__ = ["Race"]

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, fill_cache
from benchmarks.images import save_images
from benchmarks.players import Player
from benchmarks.report import Result

NUM_DRAWN = 1000
FEWEST, MOST = 2, 5000
"""Smallest and largest number of updates in a turn."""
LEAD_IN = 5
"""Largest number of unmeasured updates at the start of a turn, which fill caches and queues."""
NUM_SAVES = 3


@dataclass(frozen=True)
class Race:
    """Settings that all cases of a benchmark share."""

    device: str
    opponents: Sequence[str]
    folder: Path
    num_images: int
    num_rounds: int
    turn_seconds: float
    num_threads: int | None
    cpu_time: bool
    """Whether CPU time counts instead of wall-clock time."""

    def run(self, case: Case) -> list[Result]:
        """Start the opponents one after the other, train them in turns, and return the results."""
        images = self._images(case)
        players: list[Player] = []
        try:
            for name in self.opponents:
                folder = self.folder / case.name / str(len(players))
                players.append(self._start(name, case, images, folder))
            return self._turns(case, players, size=math.prod(case.image_shape) * self.num_images)
        finally:
            for player in players:
                player.end()

    def _turns(self, case: Case, players: Sequence[Player], *, size: int) -> list[Result]:
        by_name = {player.name: player for player in players}
        pace = by_name.get("loop", players[0]).train(unmeasured=1, measured=2)
        measured = max(FEWEST, min(MOST, round(self.turn_seconds / pace)))
        unmeasured = max(1, min(LEAD_IN, measured // 4))
        seconds: dict[str, list[float]] = {player.name: [] for player in players}
        for number in range(self.num_rounds):
            first = number % len(players)
            for player in [*players[first:], *players[:first]]:
                taken = player.train(
                    unmeasured=unmeasured, measured=measured, cpu_time=self.cpu_time
                )
                seconds[player.name].append(taken)
        memory = {player.name: player.memory() for player in players}
        return [
            Result(
                case=case,
                opponent=player.name,
                seconds=seconds[player.name],
                startup_seconds=player.startup_seconds,
                draw_seconds=player.draw(NUM_DRAWN),
                save_seconds=statistics.median(player.save() for _ in range(NUM_SAVES)),
                memory=memory[player.name] - (size if player.holds_images else 0),
            )
            for player in players
        ]

    def _start(self, name: str, case: Case, images: Path, folder: Path) -> Player:
        return Player(
            name,
            case,
            images=images,
            folder=folder,
            device=self.device,
            num_threads=self.num_threads,
        )

    def _images(self, case: Case) -> Path:
        """Return the file of images; limner has made its store of them before it is measured."""
        path = self.folder / f"{'x'.join(map(str, case.image_shape))}.npy"
        if not path.exists():
            save_images(path, case.image_shape, num_images=self.num_images)
            fill_cache(case, path)
        return path
