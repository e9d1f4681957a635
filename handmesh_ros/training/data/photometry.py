"""Photometric augmentation: every function takes and returns an (H, W, 3) uint8 RGB image."""

from __future__ import annotations

import cv2
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114])
_SPECTRUM_SIDE = 32


def change_tones(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Change brightness, contrast, gamma and colour cast, each channel by one lookup table."""
    levels = np.arange(256, dtype=np.float64) / 255
    gamma = np.exp(rng.normal(0, 0.3 * strength))
    contrast = np.exp(rng.normal(0, 0.22 * strength))
    brightness = rng.normal(0, 0.07 * strength)
    cast = np.exp(rng.normal(0, 0.12 * strength, 3))
    pivot = image[::8, ::8].mean() / 255
    tones = ((levels**gamma - pivot) * contrast + pivot + brightness)[:, None] * cast
    table = (tones.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.LUT(image, table[None])


def change_colours(
    image: np.ndarray, rng: np.random.Generator, strength: float = 1.0
) -> np.ndarray:
    """Change saturation and turn the hue by one linear map of the colours."""
    saturation = np.clip(np.exp(rng.normal(0, 0.4 * strength)), 0, 2.5)
    angle = rng.normal(0, 0.2 * strength)
    grey = np.full((3, 1), 1.0) @ _LUMA[None]
    axis = np.full(3, 1 / np.sqrt(3))
    turn = cv2.Rodrigues(axis * angle)[0]
    matrix = (grey + saturation * (np.eye(3) - grey)) @ turn
    return cv2.transform(image, matrix)


def to_grey(image: np.ndarray) -> np.ndarray:
    """Return the image without colour."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def light_unevenly(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiply by a smooth random field of light, coloured a little."""
    cells = int(rng.integers(2, 5))
    field = rng.normal(0, 0.28, (cells, cells, 1)) + rng.normal(0, 0.06, (cells, cells, 3))
    gain = np.exp(field).astype(np.float32)
    height, width = image.shape[:2]
    smooth = cv2.resize(gain, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.multiply(image, smooth, dtype=cv2.CV_8U)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur as a lens out of focus or as a moving camera does."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.2))
    length = int(rng.integers(3, 12))
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    reach = middle * np.array([np.cos(angle), np.sin(angle)])
    start, end = np.round(middle - reach).astype(int), np.round(middle + reach).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def add_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add sensor noise, fine or blotchy, with or without colour."""
    height, width = image.shape[:2]
    coarse = int(rng.integers(1, 4))
    sigma = rng.gamma(1.5, 5.0)
    noise = np.empty((-(-height // coarse), -(-width // coarse)), np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    if rng.random() < 0.5:
        noise = np.repeat(noise[..., None], 3, axis=2)
        cv2.randn(noise, np.zeros(3), np.full(3, sigma))
    else:
        noise = cv2.merge([cv2.randn(noise, np.zeros(1), np.full(1, sigma))] * 3)
    if coarse > 1:
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Store as JPEG of poor to good quality and read it back."""
    quality = int(rng.integers(15, 90))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def lose_resolution(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shrink and enlarge again."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.25, 0.8)
    small = (max(8, int(width * scale)), max(8, int(height * scale)))
    down = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    method = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[rng.integers(3)]
    return cv2.resize(down, (width, height), interpolation=method)


def amplitude_spectrum(image: np.ndarray) -> np.ndarray:
    """Return the (32, 32, 3) float32 amplitudes of the image's coarse structure."""
    coarse = cv2.resize(image, (_SPECTRUM_SIDE, _SPECTRUM_SIDE), interpolation=cv2.INTER_AREA)
    return np.abs(np.fft.fft2(coarse.astype(np.float32), axes=(0, 1))).astype(np.float32)


def mix_spectrum(image: np.ndarray, amplitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace the lowest frequencies' amplitudes, partly, by another image's, keeping phases.

    Fourier domain adaptation (Yang and Soatto, CVPR 2020), done at 32 × 32 and added back: only
    the lowest frequencies change, and they live there.

    Args:
        image: (H, W, 3) uint8.
        amplitude: (32, 32, 3) from `amplitude_spectrum` of the other image.
        rng: random numbers.
    """
    height, width = image.shape[:2]
    coarse = cv2.resize(image, (_SPECTRUM_SIDE, _SPECTRUM_SIDE), interpolation=cv2.INTER_AREA)
    spectrum = np.fft.fft2(coarse.astype(np.float32), axes=(0, 1))
    frequency = np.abs(np.fft.fftfreq(_SPECTRUM_SIDE)) * _SPECTRUM_SIDE
    low = np.maximum.outer(frequency, frequency) <= rng.integers(1, 4)
    weight = np.where(low, rng.uniform(0.2, 0.9), 0.0)[..., None]
    own = np.abs(spectrum)
    gain = (own + weight * (amplitude - own)) / np.maximum(own, 1e-3)
    changed = np.fft.ifft2(spectrum * gain, axes=(0, 1)).real
    change = np.ascontiguousarray(changed - coarse, np.float32)
    smooth = cv2.resize(change, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.add(image, smooth, dtype=cv2.CV_8U)
