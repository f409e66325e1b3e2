"""Which devices compute, how arrays lie on them, and how the loss of one shows itself.

`spread` lays a batch over several devices, and every compiled function follows it. `over_devices`
runs one function on every share of a batch, without a word between the devices: what each of them
computes is what it would compute alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from steelyard.errors import ConfigError, DeviceError

T = TypeVar("T")
Spec: Any = PartitionSpec

SHARE = "share"
"""The axis of a mesh along which a batch is cut."""

LOST = ("UNAVAILABLE", "DATA_LOSS", "DEVICE LOST", "DEVICE IS LOST", "CUDA_ERROR", "HIP_ERROR")
"""Words by which a runtime says that a device no longer computes."""

_dealing: ContextVar[tuple[Any, ...]] = ContextVar("dealing", default=())

MEMORY = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", "OUT OF MEMORY")
"""Words by which it says that there was too little memory."""


def working_devices(devices: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """The devices that a training runs on.

    Args:
        devices: of `jax.devices()`, all of one kind. Where None: every accelerator, those of other
            hosts too once `jax.distributed` is initialised; a single CPU, whose cores one program
            uses already.

    Raises:
        ConfigError: no device, one twice, or devices of several kinds.
    """
    if devices is None:
        every = tuple(jax.devices())
        alone = every[0].platform == "cpu" and jax.process_count() == 1
        return every[:1] if alone else every
    chosen = tuple(devices)
    kinds = {device.platform for device in chosen}
    if len(kinds) != 1 or len(set(chosen)) != len(chosen):
        raise ConfigError(
            f"devices must be different ones of one kind, got {list(map(str, chosen))}",
            hint="use devices=jax.devices()",
        )
    return chosen


def missing_platform() -> DeviceError | None:
    """What to say where JAX has none of the devices that it is told to use; None where it has."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # the latter where the plug-in of a platform is missing
        asked = os.environ.get("JAX_PLATFORMS") or "the platform that was asked for"
        return DeviceError(f"JAX finds no device of `{asked}`", hint="JAX_PLATFORMS=cpu")
    return None


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Devices in a row, as a mesh with the one axis `SHARE`."""
    row = np.empty(len(devices), object)
    row[:] = devices
    return Mesh(row, (SHARE,))


def spread(tree: T, devices: Sequence[Any], axis: int | None = 0) -> T:
    """A pytree of arrays, cut along `axis` into one share per device.

    Args:
        tree: arrays; on several hosts, the same on each of them.
        axis: of every leaf; None = all of it on every device. Leaves without that axis are
            copied too.

    Raises:
        ConfigError: an axis does not divide into equal shares.
    """
    mesh = mesh_of(devices)

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            return leaf
        before = () if axis is None or leaf.ndim <= axis else (*[None] * axis, SHARE)
        if before and leaf.shape[len(before) - 1] % len(devices):
            raise ConfigError(
                f"{leaf.shape[len(before) - 1]} do not divide among {len(devices)} devices",
                hint=f"use a multiple of {len(devices)}",
            )
        return _put(leaf, NamedSharding(mesh, Spec(*before)))

    placed: T = jax.tree.map(place, tree)
    return placed


def _put(leaf: Any, sharding: NamedSharding) -> Any:
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = jax.device_put(np.asarray(jax.random.key_data(leaf)), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    return jax.device_put(np.asarray(leaf), sharding)


def over_devices(
    function: Callable[..., Any], devices: Sequence[Any] | Mesh, cut: Sequence[bool]
) -> Callable[..., Any]:
    """`function` on every device's own share of the arguments; the results are put together.

    The program of a device is that of one device with a batch of the size of a share. So are its
    numbers, to the last bit on devices of one kind.

    Args:
        function: of pytrees of arrays, some with a leading axis; its results all have it.
        cut: of every argument, whether it is cut along its leading axis; else every device sees
            all of it.
    """
    mesh = devices if isinstance(devices, Mesh) else mesh_of(devices)
    share = Spec(SHARE)
    places = tuple(share if one else Spec() for one in cut)
    # shares never meet, so there is nothing to check about which values differ between devices
    mapped: Callable[..., Any] = jax.shard_map(
        function, mesh=mesh, in_specs=places, out_specs=share, check_vma=False
    )
    return mapped


@contextmanager
def dealing(devices: Sequence[Any]) -> Iterator[None]:
    """While a function is traced within, `dealt` cuts batches among these devices."""
    token = _dealing.set(tuple(devices))
    try:
        yield
    finally:
        _dealing.reset(token)


def dealt(tree: T) -> T:
    """A batch, cut along the leading axis where a training has its environments on many devices.

    Everywhere else, and for batches that do not divide, it is the batch as it is. What is computed
    of a sample is then computed where the sample lies; a mean over the batch meets all devices.
    """
    devices = _dealing.get()

    def lay(leaf: Any) -> Any:
        if leaf.ndim == 0 or leaf.shape[0] % len(devices):
            return leaf
        constrain: Any = jax.lax.with_sharding_constraint
        return constrain(leaf, NamedSharding(mesh_of(devices), Spec(SHARE)))

    laid: T = jax.tree.map(lay, tree) if devices else tree
    return laid


def fetch(tree: T) -> T:
    """A pytree of arrays in the memory of this host, whole on every host."""

    def whole(leaf: Any) -> Any:
        if getattr(leaf, "is_fully_addressable", True):
            return np.asarray(leaf)
        from jax.experimental.multihost_utils import process_allgather

        return process_allgather(leaf, tiled=True)

    fetched: T = jax.tree.map(whole, tree)
    return fetched


def answering(devices: Sequence[Any]) -> tuple[Any, ...]:
    """Those of `devices` that still compute."""
    return tuple(device for device in devices if answers(device))


def answers(device: Any) -> bool:
    """Whether a device adds two and two; one of another host is asked there."""
    if device.process_index != jax.process_index():
        return True
    try:
        two = jax.device_put(np.full(8, 2.0, np.float32), device)
        return bool(np.all(np.asarray(two + two) == 4.0))
    except jax.errors.JaxRuntimeError:
        return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a runtime's error says that there was too little memory."""
    said = str(error).upper()
    return isinstance(error, jax.errors.JaxRuntimeError) and any(word in said for word in MEMORY)


def is_lost(error: BaseException) -> bool:
    """Whether a runtime's error says that a device no longer computes."""
    said = str(error).upper()
    runtime = isinstance(error, jax.errors.JaxRuntimeError) and not is_out_of_memory(error)
    return runtime and any(word in said for word in LOST)
