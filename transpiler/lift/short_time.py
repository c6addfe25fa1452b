"""Short-time Fourier transforms, as frames and plain transforms: PyTorch's own decomposition strides over memory."""

# ruff: noqa: FBT001, FBT002, PLR0913, PLR0917  (the operators' own parameters)
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def stft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """`aten.stft` of a signal (batch, time) that is padded already: (batch, frequency, frame)."""
    if align_to_window:
        raise NotImplementedError("frames that are aligned to the window")
    frames = x.unfold(-1, n_fft, hop_length or n_fft // 4)
    shape = _window(window, n_fft, win_length)
    frames = frames if shape is None else frames * shape
    norm = "ortho" if normalized else "backward"
    half = onesided is None or onesided
    found = torch.fft.rfft(frames, norm=norm) if half else torch.fft.fft(frames, norm=norm)
    found = found.transpose(-1, -2)
    return found if return_complex else torch.view_as_real(found)


def istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """`aten.istft`: the frames overlap, and are divided by the sum of the squares of their windows."""
    if return_complex or onesided is False:
        raise NotImplementedError("signals that are not real")
    if not isinstance(x.shape[-1], int):
        raise NotImplementedError("a number of frames that is known only when the model runs")
    hop = hop_length or n_fft // 4
    shape = _window(window, n_fft, win_length)
    shape = x.real.new_ones(n_fft) if shape is None else shape
    frames = torch.fft.irfft(x, n_fft, dim=-2, norm="ortho" if normalized else "backward") * shape[:, None]
    alone = frames.dim() == 2
    frames = frames[None] if alone else frames
    total = n_fft + hop * (frames.shape[-1] - 1)
    squares = (shape**2)[None, :, None].expand(1, n_fft, frames.shape[-1])
    signal, weight = (
        functional.fold(each, (1, total), (1, n_fft), stride=(1, hop))[:, 0, 0] for each in (frames, squares)
    )
    first = n_fft // 2 if center else 0
    last = total - first if length is None else min(first + length, total)
    signal = (signal[:, first:last] / weight[:, first:last])[0 if alone else slice(None)]
    return signal if length is None else functional.pad(signal, (0, length - (last - first)))


def _window(window: Tensor | None, n_fft: int, win_length: int | None) -> Tensor | None:
    """The window, with zeros around it if it is shorter than a frame."""
    length = win_length or n_fft
    if length == n_fft:
        return window
    left = (n_fft - length) // 2
    given = torch.ones(length) if window is None else window
    return functional.pad(given, (left, n_fft - length - left))
