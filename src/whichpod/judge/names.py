"""Matches the names of those who should answer to those who did."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whichpod.model.target import Backend, Learnt, Target


@dataclass(slots=True)
class Assignment:
    """Who should have answered and did not, and how that is known."""

    silent: list[str] = field(default_factory=list)
    """Labels to show: the known name, or `unseen 1`, … where it can't be told which of them is silent."""
    known_by: Learnt | None = None
    notes: list[str] = field(default_factory=list)


def assign(target: Target, answered: Mapping[str, Sequence[Backend]]) -> Assignment:
    """Takes `target.known` names (or `known_count`) and who answered, by label.

    A name belongs to one label at most: first by pod, id or IP, then by the host of an address, since
    servers on several ports of one host share that. A backend that tells no IP may be any address.
    """
    names = list(dict.fromkeys(target.known))
    if not names and not target.known_count:
        return Assignment()
    if not names:
        return _numbered(target, len(answered))
    matching = _Matching(names)
    matching.by_identity(answered)
    matching.by_host(answered)
    strangers = [label for label in answered if label not in matching.labels]
    if _are_the_targets(target) and strangers and not matching.labels and _all_told(answered):
        note = (
            "None of the target's addresses belongs to a server that answered, so something stands between; "
            "only the servers that answered are known."
        )
        return Assignment(notes=[note])
    matching.without_address({label: answered[label] for label in strangers})
    return _result(target, matching, [label for label in answered if label not in matching.labels])


class _Matching:
    """Names and the label that each was given to."""

    def __init__(self, names: list[str]) -> None:
        self.free = dict.fromkeys(names)
        self.labels: set[str] = set()
        self.unsure_hosts: set[str] = set()
        self.unsure = False
        self._shared: dict[str, int] = defaultdict(int)
        for name in names:
            self._shared[host(name)] += 1

    def by_identity(self, answered: Mapping[str, Sequence[Backend]]) -> None:
        for label in sorted(answered):
            for b in answered[label]:
                for name in (b.pod, b.id):
                    if name in self.free:
                        self._take(name, label)
        # Those without a name first; then a second name of one that has its own is not a silent server.
        for label in sorted(answered, key=lambda x: (x in self.labels, x)):
            for b in answered[label]:
                if b.ip in self.free:
                    self._take(b.ip, label)

    def by_host(self, answered: Mapping[str, Sequence[Backend]]) -> None:
        free: dict[str, list[str]] = defaultdict(list)
        for name in reversed(self.free):
            free[host(name)].append(name)
        for label in sorted(set(answered) - self.labels):
            for b in answered[label]:
                if b.ip and free.get(b.ip) and label not in self.labels:
                    self._take(free[b.ip].pop(), label)
                    if self._shared[b.ip] > 1:
                        self.unsure_hosts.add(b.ip)

    def without_address(self, strangers: Mapping[str, Sequence[Backend]]) -> None:
        addresses = [name for name in reversed(self.free) if is_address(name)]
        for label in sorted(strangers):
            if addresses and not any(b.ip for b in strangers[label]):
                self._take(addresses.pop(), label)
                self.unsure = True

    def _take(self, name: str, label: str) -> None:
        del self.free[name]
        self.labels.add(label)

    def left(self) -> list[str]:
        """Labels of the names that nobody answers to."""
        shown, unseen = [], 0
        for name in self.free:
            if host(name) in self.unsure_hosts or (self.unsure and is_address(name)):
                unseen += 1
                shown.append(f"unseen {unseen}")
            else:
                shown.append(name)
        return shown


def _result(target: Target, matching: _Matching, extra: list[str]) -> Assignment:
    result = Assignment(matching.left(), target.known_by)
    if extra:
        listed = ", ".join(sorted(extra)[:5]) + (", …" if len(extra) > 5 else "")
        result.notes.append(f"Answered without being among the known servers, and added: {listed}.")
    if matching.unsure and target.known_by == "resolved":
        result.notes.append(
            f"The servers tell no address; it is assumed that the {len(target.known)} addresses of the "
            "name are theirs."
        )
    missing = target.known_count - len(matching.labels) - len(extra) - len(result.silent)
    result.silent += [f"unseen {i}" for i in range(len(result.silent) + 1, len(result.silent) + missing + 1)]
    return result


def _numbered(target: Target, answered: int) -> Assignment:
    result = Assignment([f"unseen {i + 1}" for i in range(target.known_count - answered)], target.known_by)
    if answered > target.known_count:
        result.notes.append(f"{answered} servers answered, more than the {target.known_count} expected.")
    return result


def _are_the_targets(target: Target) -> bool:
    """Whether the known names are but the addresses that the target stands for, looked up or listed."""
    listed = target.address.startswith(("ipv4:", "ipv6:"))
    return target.known_by == "resolved" or (listed and all(name in target.address for name in target.known))


def _all_told(answered: Mapping[str, Sequence[Backend]]) -> bool:
    return all(b.ip for backends in answered.values() for b in backends)


def host(name: str) -> str:
    """The host of `host:port`, without the brackets of IPv6; a name without port is its own host."""
    front, colon, port = name.rpartition(":")
    if not colon or not port.isdigit() or (":" in front and not front.endswith("]")):
        return name
    return front.strip("[]")


def is_address(name: str) -> bool:
    """Whether `name` is an IP address, with or without port, or any host:port."""
    return is_ip(name) or (":" in name and host(name) != name)


def is_ip(text: str) -> bool:
    """Whether `text` is a bare IP address."""
    if not text[-1:].isalnum() or (text[0].isalpha() and ":" not in text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """Whether `text`, an IP with or without port, is a loopback address."""
    bare = host(text)
    return is_ip(bare) and ipaddress.ip_address(bare).is_loopback
