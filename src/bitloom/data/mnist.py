"""MNIST: found in a folder the user names, or in the user's cache, or fetched; always checked.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; the IDX file format is described
there: a big-endian magic number (two zero bytes, the element type, the number of dimensions), the dimensions as
32-bit numbers, then the elements, last dimension fastest.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.data.dataset import Dataset
from bitloom.data.images import Method, downscale
from bitloom.errors import DataError

FOLDER_VARIABLE = "BITLOOM_MNIST"
"""Environment variable that names the folder of the four files."""

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")

# SHA-256 of the four original files.
_CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_NAME_A_FOLDER = (
    f"download {', '.join(_CHECKSUMS)} by other means and name their folder (--folder or {FOLDER_VARIABLE})"
)
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16
_UNSIGNED_BYTE = 0x08  # the IDX element type

FetchProgress = Callable[[str, int, int], None]
"""Called while fetching with a file's name, the bytes received so far, and the bytes in all (0 if unknown)."""


def load_mnist(
    folder: str | Path | None = None,
    *,
    size: tuple[int, int] = (12, 12),
    method: Method = "area",
    progress: FetchProgress | None = None,
) -> Dataset:
    """MNIST with its published split, 60,000 training and 10,000 test images, shrunk from 28x28.

    Args:
        folder: see `mnist_files`.
        size: (rows, columns) of the images wanted, at most (28, 28).
        method: how to shrink, see `bitloom.data.downscale`.
        progress: called while fetching.

    Raises:
        DataError: the files can neither be found nor fetched, or are not MNIST.
    """
    train_images, train_labels, test_images, test_labels = (
        _read_idx(path) for path in mnist_files(folder, progress=progress)
    )
    return Dataset(
        name="mnist",
        train_x=downscale(train_images, size, method).reshape(len(train_images), -1),
        train_y=train_labels.astype(np.int64),
        test_x=downscale(test_images, size, method).reshape(len(test_images), -1),
        test_y=test_labels.astype(np.int64),
        class_names=tuple("0123456789"),
        image_shape=size,
        preprocessing=f"28x28 pixels 0 to 255 shrunk to {size[0]}x{size[1]} ({method}), divided by 255",
    )


def mnist_files(
    folder: str | Path | None = None, *, progress: FetchProgress | None = None, mirrors: Sequence[str] = MIRRORS
) -> tuple[Path, ...]:
    """The four IDX files: training images and labels, test images and labels; their checksums are verified.

    They are taken from `folder`, else from the folder the environment variable BITLOOM_MNIST names, else from the
    user's cache folder, where whatever is missing is fetched from the mirrors first.

    Raises:
        DataError: a file is missing from a folder that was named, is damaged, or could not be fetched.
    """
    named = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if named:
        return tuple(_checked(Path(named).expanduser() / name) for name in _CHECKSUMS)
    cache = _cache_folder()
    return tuple(_cached(cache / name, mirrors, progress) for name in _CHECKSUMS)


def _checked(path: Path) -> Path:
    """The file itself if it is what it should be.

    Fashion-MNIST and others use the same file names, so the right name proves nothing.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"cannot read this MNIST file ({reason})", where=str(path), remedy=_NAME_A_FOLDER) from error
    if hashlib.sha256(data).hexdigest() != _CHECKSUMS[path.name]:
        raise DataError(
            "this is not the original MNIST file (its SHA-256 is another)", where=str(path), remedy=_NAME_A_FOLDER
        )
    return path


def _cached(path: Path, mirrors: Sequence[str], progress: FetchProgress | None) -> Path:
    """The cache's file; fetched if it is missing or damaged."""
    try:
        return _checked(path)
    except DataError:
        data = _fetch(path.name, mirrors, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, data)
    except OSError as error:
        raise DataError(
            f"cannot write into the cache folder ({error.strerror})", where=str(path.parent), remedy=_NAME_A_FOLDER
        ) from error
    return path


def _fetch(name: str, mirrors: Sequence[str], progress: FetchProgress | None) -> bytes:
    failures = []
    for mirror in mirrors:
        try:
            data = _download(mirror + name, name, progress)
        except (OSError, ValueError) as error:  # URLError, timeouts and broken connections are OSErrors
            failures.append(f"{mirror}: {getattr(error, 'reason', None) or error}")
            continue
        if hashlib.sha256(data).hexdigest() == _CHECKSUMS[name]:
            return data
        failures.append(f"{mirror}: the checksum is wrong")
    raise DataError(
        f"MNIST is not on this machine and {name} could not be fetched ({'; '.join(failures)})", remedy=_NAME_A_FOLDER
    )


def _download(url: str, name: str, progress: FetchProgress | None) -> bytes:
    parts = []
    received = 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while part := response.read(_CHUNK_BYTES):
            parts.append(part)
            received += len(part)
            if progress:
                progress(name, received, total)
    return b"".join(parts)


def _write_atomically(path: Path, data: bytes) -> None:
    """Write beside the place, then rename: another process sees the whole file or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.close()
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path("~/.cache").expanduser()
    return Path(base) / "bitloom" / "mnist"


def _read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of a gzipped IDX file of unsigned bytes."""
    try:
        data = gzip.decompress(path.read_bytes())
        zeros, kind, dimensions = struct.unpack_from(">HBB", data)
        shape: tuple[Any, ...] = struct.unpack_from(f">{dimensions}I", data, 4)
        elements = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
        if (zeros, kind) != (0, _UNSIGNED_BYTE):
            raise ValueError(f"magic number {data[:4].hex()}")
        return elements.reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"this is not a gzipped IDX file of bytes ({error})", where=str(path)) from error
