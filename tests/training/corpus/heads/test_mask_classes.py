import cv2
import numpy as np
import pytest

from engine.errors import ArtefactError
from training.corpus.heads.mask_classes import PALETTE, MaskClass, decode_mask, encode_mask


def test_masks_come_back_and_others_see_the_palette():
    mask = np.random.default_rng(0).integers(0, len(MaskClass), (13, 29)).astype(np.uint8)
    data = encode_mask(mask)
    assert (decode_mask(data) == mask).all()
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (seen == PALETTE[mask]).all()
    assert len(PALETTE) == len(MaskClass)


@pytest.mark.parametrize("cut", [0, 20, 60, -20])
def test_a_damaged_mask_is_refused(cut):
    data = encode_mask(np.zeros((40, 40), np.uint8))
    with pytest.raises(ArtefactError, match="render its person again"):
        decode_mask(data[:cut])


def test_another_picture_is_no_mask():
    _, data = cv2.imencode(".png", np.zeros((8, 8), np.uint8))
    with pytest.raises(ArtefactError, match="parsing mask"):
        decode_mask(data.tobytes())
