"""lab.yaml as a frozen, validated ClusterConfig. Every refusal names its key and what is allowed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Iterator
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from provision.errors import ConfigError
from provision.inventory import POD_PREFIX, bridge_name, inventory_of, offset_of
from provision.registry import CNIS, PROVIDERS
from provision.resources import data
from provision.suggest import did_you_mean

if TYPE_CHECKING:
    from provision.host import HostFacts

SUPPORTED_MINORS = ("1.35", "1.36", "1.37")
CONTROL_PLANE_COUNTS = (1, 3, 5, 7)
MOST_WORKERS = 50
LONGEST_NAME = 40
# kubeadm's preflight checks refuse a control plane with less.
CONTROL_PLANE_CPUS, CONTROL_PLANE_MIB = 2, 1700
WORKER_CPUS, WORKER_MIB = 1, 1024
SMALLEST_DISK = 6
HOST_RESERVE_MIB = 512

_MOST_CPUS, _MOST_MIB, _MOST_DISK = 128, 1024 * 1024, 4096
_SHOWN_BITS, _SHOWN_TEXT = 64, 60
_MEMORY_UNITS = {"MiB": 1, "Mi": 1, "GiB": 1024, "Gi": 1024}
_DISK_UNITS = {"GiB": 1, "Gi": 1}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_VERSION = re.compile(r"v?(?P<minor>[0-9]+\.(0|[1-9][0-9]*))(?P<patch>\.(0|[1-9][0-9]{0,3}))?")
_QUANTITY = re.compile(r"([0-9]{1,9}) ?([A-Za-z]+)")
# RFC 1918, RFC 6598 and the range for benchmarks: a lab on any other hides hosts that exist.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"))
)
# The API server takes no wider range for services; kube-dns is the tenth address of a narrower one.
_SERVICE_PREFIXES = range(12, 29)

Problem = tuple[str, str]


class _Problems(ValueError):
    """Several problems found by one validator: pairs of key path and message."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def _show(value: object) -> str:
    """Return a short text for a value; a container is not spelled out, as aliases can make it endless."""
    if value is None:
        return "an empty value"
    if not isinstance(value, str | int | float):
        return f"a {'mapping' if isinstance(value, dict) else type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return "a number that large"
    text = repr(value)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."


def _refusal(value: object, allowed: str) -> ValueError:
    return ValueError(f"{_show(value)} is not allowed; allowed: {allowed}")


def _quantity(value: object, units: dict[str, int], low: int, high: int) -> int:
    unit = next(iter(units))
    allowed = f"{low}{unit} to {high}{unit}, a whole number and its unit ({', '.join(units)})"
    if isinstance(value, int) and not isinstance(value, bool):
        amount = value
    elif isinstance(value, str) and (found := _QUANTITY.fullmatch(value)) and found[2] in units:
        amount = int(found[1]) * units[found[2]]
    else:
        raise _refusal(value, allowed)
    if not low <= amount <= high:
        raise _refusal(value, allowed)
    return amount


def _memory(low: int) -> BeforeValidator:
    return BeforeValidator(lambda value: _quantity(value, _MEMORY_UNITS, low, _MOST_MIB))


def _whole(allowed: str, *values: int) -> BeforeValidator:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value not in values:
            raise _refusal(value, allowed)
        return value

    return BeforeValidator(check)


def _cpus(low: int) -> BeforeValidator:
    return _whole(f"{low} to {_MOST_CPUS}", *range(low, _MOST_CPUS + 1))


def _one_of(*names: str) -> BeforeValidator:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            near = did_you_mean(value, names) if isinstance(value, str) else ""
            raise ValueError(f"{_show(value)} is unknown{near}; allowed: {', '.join(names)}")
        return value

    return BeforeValidator(check)


def _network(value: object, narrowest: int, widest: int = 0) -> IPv4Network:
    allowed = f"a private IPv4 range from /{max(widest, 8)} to /{narrowest}, such as 10.0.0.0/16"
    if isinstance(value, IPv4Network):
        network = value
    elif not isinstance(value, str) or "/" not in value:
        raise _refusal(value, allowed)
    else:
        try:
            network = IPv4Network(value, strict=False)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise _refusal(value, allowed) from None
        if not value.startswith(f"{network.network_address}/"):
            raise ValueError(f"{_show(value)} has host bits set; allowed: {network}")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise _refusal(value, ", ".join(map(str, _PRIVATE)) + ", or a range inside one of them")
    if not widest <= network.prefixlen <= narrowest:
        raise _refusal(value, allowed)
    return network


def _nodes_prefix(last: int) -> int:
    """Return the prefix of the narrowest node network with an address at offset `last`."""
    return 32 - (last + 1).bit_length()


def _pods_prefix(last: int) -> int:
    """Return the prefix of the narrowest pod network with a range at offset `last`."""
    return POD_PREFIX - last.bit_length()


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
        quotes = "" if isinstance(value, str) else " (in quotes: YAML reads this as another type)"
        raise _refusal(
            value, f"1 to {LONGEST_NAME} of a-z, 0-9 and `-`, with a letter or digit at both ends{quotes}"
        )
    return value


def _kubernetes(value: object) -> str:
    minors = ", ".join(SUPPORTED_MINORS)
    if isinstance(value, int | float):
        quoted = ", ".join(f'"{minor}"' for minor in SUPPORTED_MINORS)
        raise _refusal(value, f"{quoted}, in quotes: without them YAML takes 1.30 for the number 1.3")
    found = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["minor"] not in SUPPORTED_MINORS:
        raise _refusal(value, f"{minors}, or a patch of them such as {SUPPORTED_MINORS[-1]}.1")
    return found["minor"] + (found["patch"] or "")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class NodePool(_Model):
    """Nodes that are alike. Memory is in MiB, disk in GiB."""

    count: int
    cpus: int
    memory: int
    disk: Annotated[
        int, BeforeValidator(lambda value: _quantity(value, _DISK_UNITS, SMALLEST_DISK, _MOST_DISK))
    ] = 12


class ControlPlanes(NodePool):
    """The control planes: an odd number of them, as etcd needs a majority."""

    count: Annotated[int, _whole("1, 3, 5 or 7", *CONTROL_PLANE_COUNTS)] = 1
    cpus: Annotated[int, _cpus(CONTROL_PLANE_CPUS)] = 2
    memory: Annotated[int, _memory(CONTROL_PLANE_MIB)] = 3072


class Workers(NodePool):
    """The workers."""

    count: Annotated[int, _whole(f"0 to {MOST_WORKERS}", *range(MOST_WORKERS + 1))] = 2
    cpus: Annotated[int, _cpus(WORKER_CPUS)] = 2
    memory: Annotated[int, _memory(WORKER_MIB)] = 2048


_FIRST_OFFSET = offset_of("control-plane", 1)


class Network(_Model):
    """The three ranges of a cluster, none of which overlaps another."""

    nodes: Annotated[
        IPv4Network, BeforeValidator(lambda value: _network(value, _nodes_prefix(_FIRST_OFFSET)))
    ] = IPv4Network("192.168.60.0/24")
    pods: Annotated[
        IPv4Network, BeforeValidator(lambda value: _network(value, _pods_prefix(_FIRST_OFFSET)))
    ] = IPv4Network("10.244.0.0/16")
    services: Annotated[
        IPv4Network,
        BeforeValidator(lambda value: _network(value, _SERVICE_PREFIXES[-1], _SERVICE_PREFIXES[0])),
    ] = IPv4Network("10.96.0.0/12")

    def ranges(self) -> dict[str, IPv4Network]:
        """Return key -> range."""
        return {"nodes": self.nodes, "pods": self.pods, "services": self.services}

    @model_validator(mode="after")
    def _apart(self) -> Network:
        problems = [
            (key, f"{network} overlaps network.{other_key} ({other}); allowed: a range apart from the others")
            for (other_key, other), (key, network) in itertools.combinations(self.ranges().items(), 2)
            if network.overlaps(other)
        ]
        if problems:
            raise _Problems(problems)
        return self


class ArtifactsConfig(_Model):
    """Where Kubernetes comes from; `location` is the bundle's folder or the mirror's URL."""

    kind: Literal["auto", "release", "source", "bundle", "mirror"] = "auto"
    location: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object, info: ValidationInfo) -> object:
        allowed = "auto, release, source, {bundle: FOLDER}, {mirror: URL}"
        if isinstance(value, str) and value in ("auto", "release", "source"):
            return {"kind": value}
        if not isinstance(value, dict) or len(value) != 1:
            raise _refusal(value, allowed)
        kind, location = next(iter(value.items()))
        if kind == "bundle" and isinstance(location, str) and location:
            folder = (info.context or {}).get("folder", Path())
            return {"kind": kind, "location": str(folder / _home(location))}
        if kind == "mirror":
            if not isinstance(location, str) or not _is_url(location):
                raise _Problems([("mirror", str(_refusal(location, "http(s)://HOST/...")))])
            return {"kind": kind, "location": location.rstrip("/")}
        raise _refusal(kind if kind != "bundle" else location, allowed)


def _home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{_show(path)} names no home folder; allowed: the path of a folder") from error


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)


class ClusterConfig(_Model):
    """A lab as its lab.yaml describes it. `kubernetes` is a minor ("1.36") or an exact version ("1.36.3")."""

    name: Annotated[str, BeforeValidator(_name)]
    kubernetes: Annotated[str, BeforeValidator(_kubernetes)] = "1.36"
    provider: Annotated[str, _one_of("auto", *PROVIDERS)] = "auto"
    cni: Annotated[str, _one_of("auto", *CNIS)] = "auto"
    control_planes: ControlPlanes = ControlPlanes()
    workers: Workers = Workers()
    network: Network = Network()
    artifacts: ArtifactsConfig = ArtifactsConfig.model_validate("auto")

    @model_validator(mode="after")
    def _room_for_every_node(self) -> ClusterConfig:
        last = offset_of("control-plane", self.control_planes.count)
        if self.workers.count:
            last = offset_of("worker", self.workers.count)
        needs = {"nodes": _nodes_prefix(last), "pods": _pods_prefix(last)}
        problems = [
            (f"network.{key}", f"{network} has no room for every node; allowed: /{needs[key]} or wider")
            for key, network in self.network.ranges().items()
            if key in needs and network.prefixlen > needs[key]
        ]
        if problems:
            raise _Problems(problems)
        return self


def load_config(path: Path, facts: HostFacts | None = None) -> ClusterConfig:
    """Return the lab that the file describes, checked against the host if its facts are given.

    Raises one ConfigError that lists every problem found.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}", hint="kubelab init") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    config = parse_config(content, path)
    if facts is not None:
        check_host(config, facts)
    return config


def parse_config(content: bytes | str, path: Path = Path("lab.yaml")) -> ClusterConfig:
    """Return the lab that YAML text describes; paths in it are relative to the folder of `path`.

    Raises one ConfigError that lists every problem found.
    """
    try:
        document = yaml.load(content, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{path}: a value in it cannot be read: {str(error)[:100]}") from error
    if document is None:
        raise ConfigError(f"{path} is empty; allowed: at least `name: lab`", hint="kubelab init")
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds {_show(document)}; allowed: a mapping such as `name: lab`")
    try:
        return ClusterConfig.model_validate(document, context={"folder": path.parent})
    except ValidationError as error:
        raise _config_error(list(_problems(error))) from None


def check_host(config: ClusterConfig, facts: HostFacts) -> None:
    """Raise one ConfigError that lists what of `config` this host has no room for."""
    problems = [
        (
            f"network.{key}",
            f"{network} overlaps the host's {other.cidr} ({other.name}); allowed: a range it does not use",
        )
        for key, network in config.network.ranges().items()
        for other in facts.networks
        if other.name != bridge_name(config.name) and network.overlaps(other.cidr)
    ]
    pools = {"controlPlanes": config.control_planes, "workers": config.workers}
    most = max(facts.cpus, CONTROL_PLANE_CPUS)
    problems += [
        (f"{key}.cpus", f"{pool.cpus} is more than the host has; allowed: up to {most}")
        for key, pool in pools.items()
        if pool.count and pool.cpus > most
    ]
    total = sum(node.memory for node in inventory_of(config).nodes)
    room = facts.memory_mib - HOST_RESERVE_MIB
    if total > room:
        largest = max(pools, key=lambda key: pools[key].count * pools[key].memory)
        problems.append(
            (
                f"{largest}.memory",
                f"all nodes want {total}MiB of {facts.memory_mib}MiB; allowed: {max(room, 0)}MiB in all",
            )
        )
    if problems:
        raise _config_error(problems)


def sample() -> str:
    """Return the commented lab.yaml that `kubelab init` writes."""
    return data("templates/lab.yaml").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: the first would be lost in silence."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {_show(key.value)} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node


_SECTIONS: dict[str, type[_Model]] = {
    "": ClusterConfig,
    "controlPlanes": ControlPlanes,
    "workers": Workers,
    "network": Network,
}


def _keys(section: str) -> list[str]:
    return [to_camel(field) for field in _SECTIONS[section].model_fields]


def _problems(error: ValidationError) -> Iterator[Problem]:
    """Yield key path and message of everything that validation found."""
    say: dict[str, Callable[[list[str]], str]] = {
        "extra_forbidden": lambda parts: _unknown(".".join(parts[:-1]), parts[-1]),
        "missing": lambda parts: f"is missing; allowed: such as `{parts[-1]}: lab`",
        "invalid_key": lambda parts: f"is no text; allowed: {', '.join(_keys('.'.join(parts[:-1])))}",
    }
    for found in error.errors(include_url=False):
        parts = [part if (part := str(item)).isprintable() else repr(part) for item in found["loc"]]
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, _Problems):
            yield from ((".".join([*parts, key]), message) for key, message in cause.problems)
        elif isinstance(cause, ValueError):
            yield ".".join(parts), str(cause)
        elif found["type"] in say:
            yield ".".join(parts), say[found["type"]](parts)
        else:
            keys = ", ".join(_keys(".".join(parts)))
            yield ".".join(parts), f"{_show(found['input'])} is not allowed; allowed: a mapping of {keys}"


def _unknown(section: str, key: str) -> str:
    known = _keys(section)
    return f"is an unknown key{did_you_mean(key, known)}; allowed: {', '.join(known)}"


def _config_error(problems: list[Problem]) -> ConfigError:
    (key, first), *others = problems
    return ConfigError("\n".join([first, *(f"{other}: {message}" for other, message in others)]), key=key)
