"""Compare our streaming principal components with IncrementalPCA, on the values of a middle layer.

    python benchmarks/components.py                        # layer:1 of aviary-biggan, 4,000 samples
    python benchmarks/components.py MODEL LAYER SAMPLES    # another layer of a generator by name or folder

The peer is scikit-learn's, fed in chunks of 2,000 rows as GANSpace feeds it (Härkönen et al. 2020, arXiv 2004.02546).
Both read the same samples from the same file, each in a process of its own: what is timed is the fitting, and memory is
what the process came to hold beyond what it held before. The variance is that of samples which neither has seen.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MODEL, LAYER, SAMPLES = "aviary-biggan", "layer:1", 4_000
HELD_OUT = 500
COMPONENTS = 10
CHUNKS = {"ours": 64, "IncrementalPCA": 2_000}
"""Rows that are read at a time; ours are as many as `pca` itself takes of such a layer, or fewer."""

FIRST_SEED = 50_000_000
MEBIBYTE = 2**20


def chunks(path: Path, width: int, method: str) -> Iterator[NDArray[np.float32]]:
    """Yield the samples in a file, some rows at a time."""
    rows = CHUNKS[method]
    with path.open("rb") as file:
        while (values := np.fromfile(file, np.float32, rows * width)).size:
            yield values.reshape(-1, width)


def fit(method: str, path: Path, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the components, (components, values), of all samples in a file."""
    if method == "ours":
        import torch

        from steer.directions.components import Covariance

        estimate = Covariance(COMPONENTS)
        for values in chunks(path, width, method):
            batch = torch.from_numpy(values).double()
            estimate.add(batch, batch)
        directions = torch.nn.functional.normalize(estimate.components().directions, dim=1)
        return estimate.mean.numpy(), directions.numpy()
    from sklearn.decomposition import IncrementalPCA

    peer = IncrementalPCA(COMPONENTS)
    for values in chunks(path, width, method):
        peer.partial_fit(values)
    return peer.mean_, peer.components_


def measure(method: str, path: Path, held: Path, width: int) -> dict[str, float]:
    """Fit in this process, and return seconds, memory in MiB and the share of held-out variance that is captured."""
    small = path.with_name("small")
    next(chunks(path, width, method))[:COMPONENTS, :COMPONENTS].copy().tofile(small)
    fit(method, small, COMPONENTS)  # imports, and whatever is set up once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, start_cpu = time.perf_counter(), time.process_time()
    mean, directions = fit(method, path, width)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MEBIBYTE
    unseen = np.fromfile(held, np.float32).reshape(-1, width).astype(np.float64) - mean
    captured = float(np.square(unseen @ directions.T).sum() / np.square(unseen).sum())
    return {"seconds": seconds, "processor seconds": cpu, "MiB": memory, "captured": captured}


def draw(model: str, layer: str, samples: int, folder: Path) -> tuple[Path, Path, int]:
    """Write the values of a layer to two files, for fitting and held out, and return these and their width."""
    import torch

    import steer

    generator = steer.load_generator(model)
    paths, first, width = (folder / "samples", folder / "held out"), FIRST_SEED, 0
    for path, count in zip(paths, (samples, HELD_OUT), strict=True):
        with path.open("wb") as file, torch.no_grad():
            for start in range(first, first + count, 50):
                seeds = range(start, min(start + 50, first + count))
                values = generator.observe(generator.sample(seeds), layer).flatten(1).cpu().numpy()
                width = values.shape[1]
                values.tofile(file)
        first += count
    return *paths, width


def main() -> None:
    """Print both methods, and how they compare."""
    model, layer, samples = [*sys.argv[1:], *(MODEL, LAYER, str(SAMPLES))[len(sys.argv) - 1 :]]
    row = "{:16} {:>10} {:>18} {:>10} {:>10}\n".format
    with tempfile.TemporaryDirectory() as folder:
        path, held, width = draw(model, layer, int(samples), Path(folder))
        sys.stdout.write(f"{samples} samples of {width} values: {layer} of {model}\n")
        sys.stdout.write(row("method", "seconds", "processor seconds", "MiB", "captured"))
        results = {}
        for method in CHUNKS:
            command = [sys.executable, __file__, "--measure", method, str(path), str(held), str(width)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            results[method] = told = json.loads(done.stdout)
            numbers = f"{told['seconds']:.1f}", f"{told['processor seconds']:.1f}", f"{told['MiB']:.0f}"
            sys.stdout.write(row(method, *numbers, f"{told['captured']:.5f}"))
    ours, peer = results.values()
    sys.stdout.write(
        f"held-out variance {ours['captured'] / peer['captured']:.5f} of the peer's, "
        f"{peer['seconds'] / ours['seconds']:.1f} times as fast "
        f"({peer['processor seconds'] / ours['processor seconds']:.1f} by processor time), "
        f"{ours['MiB'] / peer['MiB']:.3f} of its memory\n"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _, _, method, path, held, width = sys.argv
        sys.stdout.write(json.dumps(measure(method, Path(path), Path(held), int(width))))
    else:
        main()
