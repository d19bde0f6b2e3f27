"""DockerSpawner, whose failures say why: to the person who waits, and to `provision prewarm`."""

import asyncio
import os
import signal

from docker.errors import APIError
from dockerspawner import DockerSpawner
from jupyterhub.spawner import SpawnException
from requests.exceptions import ConnectionError


class WorkshopSpawner(DockerSpawner):
    async def start(self):
        try:
            return await super().start()
        except APIError as error:
            why = error.explanation or str(error)
            raise SpawnException(
                f"This server can't be started; please tell the organiser. Docker says: {why}",
                reason="docker",
            ) from None

    async def remove_object(self):
        """One that still runs, too: a hub that lost Docker while it stopped a server has forgotten
        it, and Docker would not give its name to another, ever."""
        await self.stop_object()
        await super().remove_object()
        for _ in range(50):  # Docker says yes before it is gone
            if await self.get_object() is None:
                break
            await asyncio.sleep(0.2)

    def _docker(self, method, *args, **kwargs):
        """A Docker that was restarted may have made its socket anew, which only a new mount sees:
        the hub ends, Docker starts it again, and nobody at work notices."""
        try:
            return super()._docker(method, *args, **kwargs)
        except ConnectionError as error:
            if "refused" in str(error):
                self.log.error("Docker's socket is another one now: starting again")
                os.kill(os.getpid(), signal.SIGTERM)
            raise
