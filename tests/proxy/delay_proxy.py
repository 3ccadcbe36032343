#!/usr/bin/env python3
"""usage: delay_proxy.py [--rtt MS] [--port PORT] HOST PORT

A TCP proxy on 127.0.0.1 in front of HOST:PORT that makes a round trip take MS milliseconds longer
(20): what arrives leaves again half of that later, in either direction. Its first line of output
is the port it listens on (0, the default: any free one). SIGTERM ends it. A HOST with a slash in
front is the folder of PostgreSQL's Unix socket.

Only time is added: every chunk has a due time of its own, so that many are under way at once and
the bandwidth stays. Opening a connection costs a round trip too, as TCP's handshake would.
"""

import asyncio
import collections
import contextlib
import selectors
import signal
import sys

MOST_UNDER_WAY = 64 << 20  # bytes in one direction; beyond that the sender has to wait
END, LOST = "end", "lost"  # what may stand in the queue behind the last bytes


class Direction(asyncio.Protocol):
    """One end of a connection: what is read here is written to `other`, later."""

    def __init__(self, delay):
        self.delay = delay
        self.loop = asyncio.get_running_loop()
        self.transport = self.other = None
        self.queue = collections.deque()  # (due time, bytes or END or LOST)
        self.under_way = 0
        self.not_before = 0.0
        self.timer = None
        self.ended = False

    # --- what is read

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(MOST_UNDER_WAY)

    def data_received(self, data):
        self.under_way += len(data)
        if self.under_way > MOST_UNDER_WAY:
            self.transport.pause_reading()
        self.enqueue(data)

    def eof_received(self):
        self.enqueue(END)
        return True  # the other direction may still have something to say

    def connection_lost(self, exception):
        self.enqueue(LOST)

    def enqueue(self, item):
        self.queue.append((max(self.loop.time() + self.delay, self.not_before), item))
        self.wait()

    # --- what is written

    def wait(self):
        """Sets the one timer, unless it is set or there is nothing and nowhere to write."""
        if self.timer is None and self.queue and self.other.transport:
            self.timer = self.loop.call_at(self.queue[0][0], self.write_due)

    def write_due(self):
        self.timer = None
        now = self.loop.time()
        while self.queue and self.queue[0][0] <= now:
            self.write(self.queue.popleft()[1])
        if self.under_way <= MOST_UNDER_WAY and not self.transport.is_closing():
            self.transport.resume_reading()
        self.wait()

    def write(self, item):
        target = self.other.transport
        if item is LOST:
            target.close()
        elif item is END:
            self.write_end(target)
        else:
            self.under_way -= len(item)
            if not target.is_closing():
                target.write(item)

    def write_end(self, target):
        self.ended = True
        if self.other.ended:
            target.close()
            self.transport.close()
        elif not target.is_closing():
            with contextlib.suppress(OSError):
                target.write_eof()


class Client(Direction):
    """The end towards the client; it opens the one towards the server."""

    def __init__(self, address, delay):
        super().__init__(delay)
        self.address = address
        self.other = Direction(delay)
        self.other.other = self
        self.task = None

    def connection_made(self, transport):
        super().connection_made(transport)
        # The client believes to be connected a round trip before it would be.
        self.not_before = self.loop.time() + 3 * self.delay
        self.task = self.loop.create_task(self.connect())

    async def connect(self):
        host, port = self.address
        try:
            if host.startswith("/"):
                await self.loop.create_unix_connection(lambda: self.other,
                                                       f"{host}/.s.PGSQL.{port}")
            else:
                await self.loop.create_connection(lambda: self.other, host, port)
        except OSError as error:
            print(f"delay_proxy: {host}:{port}: {error}", file=sys.stderr)
            self.transport.abort()
            return
        self.wait()


async def serve(make_client, port):
    """Until SIGTERM or SIGINT. `make_client` gives the protocol of a new connection."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make_client, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def usage(complaint):
    print(f"delay_proxy: {complaint}; see --help", file=sys.stderr)
    sys.exit(2)


def main():
    rtt, port, rest, words = 20.0, 0, [], sys.argv[1:]
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            print(__doc__, end="")
            return
        try:
            if word == "--rtt":
                rtt = float(words.pop(0))
            elif word == "--port":
                port = int(words.pop(0))
            else:
                rest.append(word)
        except (IndexError, ValueError):
            usage(f"{word} needs a number")
    if len(rest) != 2 or not rest[1].isdigit() or rtt < 0:
        usage("expected HOST PORT, and a time that is not negative")
    address = (rest[0], int(rest[1]))
    run(lambda: Client(address, rtt / 2000), port)


def run(make_client, port):
    # epoll counts whole milliseconds, select microseconds: with delays of 10 ms that matters.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(serve(make_client, port))
    except OSError as error:
        print(f"delay_proxy: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
