"""A proxy between a client and PostgreSQL on 127.0.0.1 that counts what the client says, and may interrupt it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

How = Literal["before", "after", "held"]

_CHUNK = 65_536


class Proxy:
    """Passes messages on, and interrupts at one of them.

    Parameters
    ----------
    port : int
        Of the server.
    at : int
        Interrupt at this message of the client, counted over all connections from 1; 0 stands for never.
    how : {'before', 'after', 'held'}
        Whether all connections are cut before the server gets that message, or after, when its answer comes, which
        is never passed on; or nothing is cut and the message only waits until `act` is done.

    Attributes
    ----------
    act : callable
        What to do at that moment, before any cut.
    messages : int
        How many the client has sent.
    delay_seconds : float
        How late each piece of an answer is passed on.
    """

    def __init__(self, port: int, *, at: int = 0, how: How = "before") -> None:
        self._server_port = port
        self._at = at
        self._how = how
        self.act: Callable[[], object] = lambda: None
        self.messages = 0
        self.delay_seconds = 0.0
        self._guard = threading.Lock()
        self._is_deaf = False
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        self.cut()
        for thread in self._threads[1:]:
            thread.join()

    def cut(self) -> None:
        """Cut every connection."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            pair = (client, server)
            self._threads += [
                threading.Thread(target=self._pump, args=(self._ask, *pair)),
                threading.Thread(target=self._pump, args=(self._answer, *pair)),
            ]
            for thread in self._threads[-2:]:
                thread.start()

    def _pump(
        self, pass_on: Callable[[socket.socket, socket.socket], None], client: socket.socket, server: socket.socket
    ) -> None:
        with suppress(OSError):
            pass_on(client, server)
        for one in (client, server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._guard:
            # Closed by the second of the two threads, when neither reads any more.
            for one in (client, server):
                if one not in self._open:
                    one.close()
                self._open.discard(one)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        for message in _messages(client):
            with self._guard:
                self.messages += 1
                is_it = self.messages == self._at
            if is_it and self._how == "held":
                self.act()
            elif is_it:
                self._is_deaf = self._how == "after"
                if not self._is_deaf:
                    return self._interrupt()
            server.sendall(message)
        return None

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        while piece := server.recv(_CHUNK):
            if self._is_deaf:
                self._is_deaf = False
                return self._interrupt()
            if self.delay_seconds:
                self._closing.wait(self.delay_seconds)
            client.sendall(piece)
        return None

    def _interrupt(self) -> None:
        self.act()
        self.cut()


def _messages(client: socket.socket) -> Iterator[bytes]:
    """Take apart what a client says: the first message has a length only, the others a letter before it."""
    buffered = b""
    letters = 0
    while piece := client.recv(_CHUNK):
        buffered += piece
        while len(buffered) >= letters + 4:
            length = letters + int.from_bytes(buffered[letters : letters + 4], "big")
            if len(buffered) < length:
                break
            yield buffered[:length]
            buffered, letters = buffered[length:], 1
