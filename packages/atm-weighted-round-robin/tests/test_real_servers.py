"""Three local HTTP servers of unequal speed, of which one is killed and restarted amid the run."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys
from collections import Counter
from typing import List, Optional

import pytest
from atm_retry import RetryStrategy
from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource

from atm_core import ConcurrentLimitStrategy, Task, TaskManager

WEIGHTS = {"fast": 4, "middling": 2, "slow": 1}
REQUESTS = 700
SCRIPT = pathlib.Path(__file__).with_name("http_server.py")


class Server:
    """A process that can be killed, and started again on the same port."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.port = 0
        self._process: Optional[subprocess.Popen[str]] = None

    async def start(self) -> None:
        command = [sys.executable, str(SCRIPT), self.name, str(self.seconds), str(self.port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, universal_newlines=True)
        assert process.stdout is not None
        self._process = process
        self.port = int(await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline))

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["smooth", "edf"])
def test_a_server_is_killed_and_restarted(algorithm: str) -> None:
    """No request is lost, and while all servers are up, shares follow the weights within 1%."""
    servers = {name: Server(name, 0.008 / weight) for name, weight in WEIGHTS.items()}

    async def get(path: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", servers[current_resource()].port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        if not answer.startswith("HTTP/1.0 200"):
            raise ConnectionError(f"{current_resource()} answers {answer!r}")
        return answer.rpartition("\n")[2]

    async def ping(name: str) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", servers[name].port)
        writer.close()
        return True

    def follows_the_weights(answers: List[str]) -> bool:
        counts, total = Counter(answers), sum(WEIGHTS.values())
        return all(abs(counts[name] / len(answers) - weight / total) < 0.01 for name, weight in WEIGHTS.items())

    victim = servers["middling"]

    async def main() -> None:
        for server in servers.values():
            await server.start()
        spread = WeightedRoundRobinStrategy(
            WEIGHTS, algorithm=algorithm, failure=(OSError,), health_check=ping, health_check_interval_seconds=0.5
        )
        stack = [spread, RetryStrategy(20, initial_delay_seconds=0.01, seed=1), ConcurrentLimitStrategy(20)]
        async with TaskManager(stack) as manager:

            def send(n: int) -> List[Task[str]]:
                return [manager.submit(get, f"/{i}") for i in range(n)]

            assert follows_the_weights([await task for task in send(REQUESTS)])

            tasks = send(100)
            await tasks[30].wait()
            victim.kill()
            during = [await task for task in tasks]
            assert any(task.attempts > 1 for task in tasks), "some were under way on it"
            while spread.snapshot()["middling"]["passes"]:
                during += [await task for task in send(20)]
            assert "middling" not in [await task for task in send(50)]
            await victim.start()
            while not spread.snapshot()["middling"]["healthy"]:  # its ejection would take 30 s: the check sees it
                during += [await task for task in send(20)]
            assert Counter(during).keys() == WEIGHTS.keys()

            tasks = send(REQUESTS)
            assert follows_the_weights([await task for task in tasks])
            assert all(task.attempts == 1 for task in tasks)

    try:
        asyncio.run(main())
    finally:
        for server in servers.values():
            server.kill()
