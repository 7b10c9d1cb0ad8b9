"""Images per second: diffraction, dark field, microstructures and scenes, with defects drawn anew for each.

    OMP_NUM_THREADS=1 python benchmarks/images.py [--images 40] [--rounds 3]

Numbers are those of one thread; on a busy machine processor time is what an idle one would take. The diffraction fingerprint is also summed atom by atom and pixel by pixel in NumPy, for speed and for agreement.
Compilation (first call) is reported apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np

import euhedral
from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.writing import write_atomically
from euhedral.representations.images.defects import Displacements, Substitutions, Vacancies, with_defects
from euhedral.representations.images.diffraction_image import (
    ZILETTI_SOURCE,
    ZILETTI_STEP,
    diffraction_image,
    fingerprint,
)
from euhedral.representations.images.form_factors import form_factor
from euhedral.representations.images.microstructure import microstructure
from euhedral.representations.images.probe import AberrationFreeProbe, GaussianProbe
from euhedral.representations.images.scan import Scan
from euhedral.representations.images.sem_scenes import SCENES, scene
from euhedral.representations.images.specimen import block, sheet, slab
from euhedral.representations.images.stem import stem_image

TARGET = Path(__file__).parent / "results" / "images.json"
FACES = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]


def crystals():
    silicon = Crystal(5.43 * np.eye(3), frac=np.vstack([FACES, np.array(FACES) + 0.25]), numbers=[14] * 8, id="Si")
    height = 1.67 / 25
    wse2 = Crystal(
        cell_from_parameters([3.28, 3.28, 25], [90, 90, 120]),
        frac=[[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5 + height], [2 / 3, 1 / 3, 0.5 - height]],
        numbers=[74, 34, 34],
        id="WSe2",
    )
    return silicon, wse2


def kinds():
    silicon, wse2 = crystals()
    small, large = block(silicon, n_atoms=256), block(silicon, n_atoms=4000)
    layer = sheet(wse2, width=62.0, height=62.0)
    plate = slab(silicon, zone_axis=(1, 1, 0), width=62.0, height=62.0, thickness=100.0)
    ziletti = [Vacancies(0.25), Displacements(0.05)]
    yang = [Substitutions(0.05, by=("V",), element="W"), Vacancies(0.08, element="Se"), Displacements(0.03)]
    scan = Scan(512, 0.11, drift=(1.5, -1.0), wander=0.01, jitter=0.03)

    def defective(piece, rng):
        return with_defects(piece, defects=ziletti, rng=rng)[0]

    return {
        "fingerprint, 3 x 64 x 64, 288 atoms, 25 % vacancies": lambda rng: fingerprint(defective(small, rng)),
        "diffraction, 256 x 256, 4,096 atoms, 25 % vacancies": lambda rng: diffraction_image(defective(large, rng)),
        "diffraction, 3 zone axes, 256 x 256, 288 atoms": lambda rng: diffraction_image(
            defective(small, rng), zone_axes=[(0, 0, 1), (1, 1, 0), (1, 1, 1)]
        ),
        "dark field, 512 x 512, WSe2 sheet, defects, drift, dose": lambda rng: stem_image(
            layer, scan=scan, defects=yang, dose=3e4, rng=rng
        ),
        "dark field, 512 x 512, Si slab of 100 Angstrom, Airy probe": lambda rng: stem_image(
            plate, scan=Scan(512, 0.11), zone_axis=(1, 1, 0), probe=AberrationFreeProbe(25.0, source_fwhm=0.5), dose=3e4, rng=rng
        ),
        "dark field, 128 x 128, WSe2 sheet, defects, dose": lambda rng: stem_image(
            layer, scan=Scan(128, 0.2), probe=GaussianProbe(1.1), defects=yang, dose=3e4, rng=rng
        ),
        "microstructure, 512 x 512, 80 grains, 5 phases": lambda rng: microstructure(rng=rng),
        "scene, 256 x 256": lambda rng: scene(SCENES[int(rng.integers(len(SCENES)))], rng=rng),
    }  # fmt: skip


def measure(draw, *, images, rounds):
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    draw(rng)
    first = time.perf_counter() - start
    per_image, processor, slowest = [], [], []
    for _ in range(rounds):
        times = []
        used = time.process_time()
        for _ in range(images):
            start = time.perf_counter()
            draw(rng)
            times.append(time.perf_counter() - start)
        processor.append((time.process_time() - used) / images)
        per_image.append(statistics.mean(times))
        slowest.append(float(np.quantile(times, 0.9)))
    median = statistics.median(per_image)
    return {
        "images_per_second": 1.0 / median,
        "milliseconds": 1e3 * median,
        "processor_milliseconds": 1e3 * statistics.median(processor),
        "slowest_tenth_milliseconds": 1e3 * statistics.median(slowest),
        "first_call_seconds": first,
    }


def summed(specimen):
    """The same fingerprint without the factorisation: a sine and cosine for every atom and pixel."""
    from scipy.spatial import KDTree

    cart = specimen.cart / KDTree(specimen.cart).query(specimen.cart, k=2)[0][:, 1].mean()
    at = (np.arange(64) - 31.5) * ZILETTI_STEP
    x, y = np.meshgrid(at, -at)
    inverse = 1.0 / ZILETTI_SOURCE.lines[0].wavelength
    q = np.stack([x, y, inverse - np.sqrt(inverse**2 - x**2 - y**2)], -1).reshape(-1, 3)
    factor = {
        n: form_factor(ZILETTI_SOURCE.table(), number=n, q=np.linalg.norm(q, axis=1)) for n in set(specimen.numbers)
    }
    layers = np.zeros((3, 64 * 64))
    for axis in range(3):
        for angle in np.radians([-45.0, 45.0]):
            turn = np.eye(3)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            turn[i, i] = turn[j, j] = np.cos(angle)
            turn[j, i], turn[i, j] = np.sin(angle), -np.sin(angle)
            waves = np.exp(2j * np.pi * q @ (cart @ turn.T).T)
            layers[axis] += np.abs(sum(factor[n] * waves[:, specimen.numbers == n].sum(1) for n in factor)) ** 2
    radius = np.hypot(*np.meshgrid(*[np.arange(64) - 31.5] * 2)).ravel()
    layers[:, (radius <= 10.0) | (radius >= 30.0)] = 0.0
    return (layers / layers.max()).reshape(3, 64, 64)


def against_the_sum(rounds):
    piece, _ = with_defects(block(crystals()[0], n_atoms=256), defects=[Vacancies(0.25)], rng=np.random.default_rng(1))
    ratios, worst = [], 0.0
    for _ in range(max(rounds, 3)):
        start = time.perf_counter()
        for _ in range(5):
            ours = fingerprint(piece).pixels
        middle = time.perf_counter()
        theirs = summed(piece)
        ratios.append((time.perf_counter() - middle) / ((middle - start) / 5))
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return {"faster_by": statistics.median(ratios), "largest_difference_of_pixels_from_0_to_1": worst}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    result = {
        "version": euhedral.__version__,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or "all",
        "load_average": os.getloadavg()[0],
        "images_per_round": options.images,
        "rounds": options.rounds,
        "kinds": {},
    }
    for name, draw in kinds().items():
        result["kinds"][name] = measure(draw, images=options.images, rounds=options.rounds)
        print(
            f"{name}: {result['kinds'][name]['images_per_second']:.1f} images a second, "
            f"{result['kinds'][name]['processor_milliseconds']:.1f} ms of processor each"
        )
    result["fingerprint_against_direct_sum"] = against_the_sum(options.rounds)
    print(result["fingerprint_against_direct_sum"])
    write_atomically(options.output, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
