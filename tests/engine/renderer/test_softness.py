from dataclasses import replace

import cv2
import numpy as np

from engine.renderer.softness import softness


def test_an_enlarged_portrait_is_softer_than_a_sharp_one(person):
    rng = np.random.default_rng(1)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (512, 512, 3)), (0, 0), 0.6)
    sharp = replace(person, image=np.clip(person.image + grain, 0, 255).astype(np.uint8))
    small = cv2.resize(sharp.image, (128, 128), interpolation=cv2.INTER_AREA)
    enlarged = replace(person, image=cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC))
    assert softness(sharp) == 0
    assert softness(enlarged) == 1
    even = replace(person, image=np.full_like(person.image, 90))
    assert 0 <= softness(even) <= 1
