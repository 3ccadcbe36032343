#!/usr/bin/env python3
"""usage: fault_proxy.py [--at TRIGGER] [--do FAULT] [--nth N] [--times N] [--only PATTERN]
                      [--log FILE] [--rtt MS] [--port PORT] HOST PORT

A proxy on 127.0.0.1 in front of the PostgreSQL server HOST:PORT (a HOST with a slash in front is
the folder of its Unix socket) that reads the messages of both sides and does harm at one of them.
Its first line of output is the port it listens on (0, the default: any free one). SIGTERM ends it.

  --at connect       the client's StartupMessage
  --at cancel        a CancelRequest
  --at sql=TEXT      a Parse message of exactly this SQL (COMMIT, say), or sql^TEXT: that begins so
  --at tag=TEXT      the server's CommandComplete with exactly this tag
  --do cut           both sides are closed instead of passing the message on
  --do hole          nothing is passed on any more, in either direction, not even the end; both
                     connections stay open, and what arrives is read
  --do halfopen      the client's side is closed, the server's stays open
  --do bytes         no trigger: everything is passed on byte by byte, in both directions
  --nth N            strikes first when the trigger comes for the Nth time (1), over all connections
  --times N          so many times in all (1); 0: every time from then on
  --only PATTERN     only connections whose application_name matches, * and ? as in a shell
  --log FILE         a line for each strike: fault, trigger, application_name
  --rtt MS           a round trip takes so much longer, see delay_proxy.py

Messages in front of the one that triggers are passed on. Encrypted connections cannot be read: the
server must not offer TLS, or the client say sslmode=disable.
"""

import fnmatch
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import delay_proxy  # noqa: E402  (beside this file)

STARTUP, CANCEL, SSL, GSS = 196608, 80877102, 80877103, 80877104
FAULTS = ("cut", "hole", "halfopen", "bytes")


class Messages:
    """Cuts a byte stream into protocol messages. The first ones of a client have no type byte; the
    server's answer to a request for encryption is a single byte."""

    def __init__(self, untyped):
        self.buffer = bytearray()
        self.untyped = untyped  # the next message has no type
        self.lone_bytes = 0  # so many of these come next

    def add(self, data):
        """Yields (type or None, payload, all bytes) of each message that is complete."""
        self.buffer += data
        while (size := self.next_size()) and len(self.buffer) >= size:
            whole = bytes(self.buffer[:size])
            del self.buffer[:size]
            if self.lone_bytes:
                self.lone_bytes -= 1
                yield None, b"", whole
            elif self.untyped:
                yield None, whole[4:], whole
            else:
                yield whole[:1], whole[5:], whole

    def next_size(self):
        """0 while not even the length has arrived."""
        if self.lone_bytes:
            return 1 if self.buffer else 0
        begin = 0 if self.untyped else 1
        if len(self.buffer) < begin + 4:
            return 0
        return begin + struct.unpack_from("!I", self.buffer, begin)[0]


def text_at(payload, begin):
    return payload[begin:payload.index(b"\0", begin)].decode("utf-8", "replace")


def startup_parameters(payload):
    words = payload[4:].split(b"\0")
    pairs = zip(words[::2], words[1::2])
    return {name.decode(): value.decode("utf-8", "replace") for name, value in pairs if name}


class Plan:
    """What is to happen, and how often it has."""

    def __init__(self):
        self.trigger, self.fault = "connect", None
        self.nth, self.times, self.pattern, self.log = 1, 1, "*", None
        self.seen = self.struck = 0

    def strikes(self, events, name):
        if self.fault in (None, "bytes") or not fnmatch.fnmatchcase(name, self.pattern):
            return False
        if not any(self.matches(event) for event in events):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times and self.struck >= self.times):
            return False
        self.struck += 1
        if self.log:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{self.fault} {self.trigger} {name}\n")
        return True

    def matches(self, event):
        if self.trigger.startswith("sql^"):
            return event.startswith("sql=" + self.trigger[4:])
        return event == self.trigger


class Session:
    """One connection through the proxy: both its ends ask here what becomes of a message."""

    def __init__(self, plan):
        self.plan = plan
        self.name = ""
        self.state = "open"
        self.from_client = Messages(untyped=True)
        self.from_server = Messages(untyped=False)

    def client_events(self, kind, payload):
        if kind == b"P":
            name_end = payload.index(b"\0")
            return ["sql=" + text_at(payload, name_end + 1).strip()]
        if kind is not None:
            return []
        code = struct.unpack_from("!I", payload)[0]
        if code in (SSL, GSS):
            self.from_server.lone_bytes += 1
            return []
        if code == CANCEL:
            return ["cancel"]
        self.from_client.untyped = False
        self.name = startup_parameters(payload).get("application_name", "")
        return ["connect"]

    def server_events(self, kind, payload):
        return ["tag=" + text_at(payload, 0)] if kind == b"C" else []


class End(delay_proxy.Direction):
    """What is read here, message by message. `session` is shared by both ends."""

    session = None
    is_client = False

    def data_received(self, data):
        session = self.session
        if session.state != "open":
            return
        messages = session.from_client if self.is_client else session.from_server
        events_of = session.client_events if self.is_client else session.server_events
        for kind, payload, whole in messages.add(data):
            if session.plan.strikes(events_of(kind, payload), session.name):
                session.state = session.plan.fault
                self.enqueue(self.strike)
                return
            self.pass_on(whole)

    def pass_on(self, whole):
        single = self.session.plan.fault == "bytes"
        for part in (whole[i:i + 1] for i in range(len(whole))) if single else (whole,):
            super().data_received(part)

    def strike(self):
        client, server = (self, self.other) if self.is_client else (self.other, self)
        if self.session.state in ("cut", "halfopen"):
            client.transport.close()
        if self.session.state == "cut" and server.transport:
            server.transport.close()

    def write(self, item):
        if callable(item):
            item()
        else:
            super().write(item)

    def eof_received(self):
        if self.session.state in ("hole", "halfopen"):
            return True
        return super().eof_received()

    def connection_lost(self, exception):
        if self.session.state not in ("hole", "halfopen"):
            super().connection_lost(exception)


class ServerEnd(End):
    pass


class ClientEnd(delay_proxy.Client, End):
    is_client = True

    def __init__(self, address, delay, plan):
        delay_proxy.Client.__init__(self, address, delay)
        self.session = Session(plan)
        self.other = ServerEnd(delay)
        self.other.other = self
        self.other.session = self.session


def usage(complaint):
    print(f"fault_proxy: {complaint}; see --help", file=sys.stderr)
    sys.exit(2)


def read_arguments(words):
    plan, numbers, rest = Plan(), {"--rtt": 0.0, "--port": 0}, []
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            print(__doc__, end="")
            sys.exit(0)
        if not word.startswith("--"):
            rest.append(word)
            continue
        if not words:
            usage(f"{word} needs a value")
        value = words.pop(0)
        try:
            if word in ("--nth", "--times"):
                setattr(plan, word[2:], int(value))
            elif word in numbers:
                numbers[word] = type(numbers[word])(value)
            elif word in ("--only", "--log", "--at", "--do"):
                name = {"--only": "pattern", "--log": "log", "--at": "trigger", "--do": "fault"}[word]
                setattr(plan, name, value)
            else:
                usage(f"unknown option {word}")
        except ValueError:
            usage(f"{word} needs a number")
    if plan.fault not in (None, *FAULTS):
        usage(f"--do {plan.fault}: expected {', '.join(FAULTS)}")
    if plan.trigger not in ("connect", "cancel") and plan.trigger[:4] not in ("sql=", "sql^", "tag="):
        usage(f"--at {plan.trigger}: expected connect, cancel, sql=TEXT, sql^TEXT or tag=TEXT")
    if len(rest) != 2 or not rest[1].isdigit() or min(plan.nth - 1, plan.times, *numbers.values()) < 0:
        usage("expected HOST PORT, and numbers that are not negative")
    return plan, numbers, (rest[0], int(rest[1]))


def main():
    plan, numbers, address = read_arguments(sys.argv[1:])
    delay = numbers["--rtt"] / 2000
    delay_proxy.run(lambda: ClientEnd(address, delay, plan), numbers["--port"])


if __name__ == "__main__":
    main()
