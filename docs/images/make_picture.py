"""Draws README's picture: make_picture.py MIP.ome.zarr OUT.png

The maximum projection of fixtures/cells.ome.tif, both frames side by side, channels in their OME colours, stretched from
the 1st to the 99.8th percentile, three screen pixels a pixel, with a bar of 5 µm.
"""
import sys

import imagecodecs
import numpy as np
import zarr

SCALE = 3
BAR_UM = 5.0


def main(source, target):
    group = zarr.open_group(source, mode="r")
    ome = group.attrs["ome"]
    pixels = group[ome["multiscales"][0]["datasets"][0]["path"]][...].astype(np.float64)
    scale = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    colors = [tuple(int(c["color"][i : i + 2], 16) / 255 for i in (0, 2, 4)) for c in ome["omero"]["channels"]]
    frames = []
    for t in range(pixels.shape[0]):
        rgb = np.zeros(pixels.shape[-2:] + (3,))
        for c, color in enumerate(colors):
            low, high = np.percentile(pixels[:, c], [1, 99.8])
            plane = np.clip((pixels[t, c, 0] - low) / (high - low), 0, 1) ** 0.8
            rgb += plane[..., None] * np.array(color)
        frames.append(np.clip(rgb, 0, 1))
    gap = np.ones((frames[0].shape[0], 4, 3))
    picture = np.concatenate([frames[0], gap, frames[1]], axis=1)
    picture = (picture * 255).round().astype(np.uint8).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    bar = round(BAR_UM / scale[-1] * SCALE)
    picture[-24:-18, 16 : 16 + bar] = 255
    with open(target, "wb") as file:
        file.write(imagecodecs.png_encode(picture, level=9))


if __name__ == "__main__":
    main(*sys.argv[1:])
