"""The numbers of the method, free of torch: rates, shapes and coordinate conventions.

Every other module takes them from here; artefacts repeat those they depend on in their manifest, so that a
mismatch is found when they are loaded and not in the picture.

Time. All rates divide one integer media clock of 48 kHz ticks: a 16 kHz sample is 3 ticks, a 120 Hz mel frame
400, a 60 fps motion frame 800.

Face coordinates ("face units", fu). Right-handed, as OpenCV's camera: +x to the right in the picture (the
person's left), +y down, +z away from the camera. The distance between the outer eye corners of the person's
neutral face is 1. The origin is the pivot of the head, where skull and neck meet: the midpoint of the outer eye
corners lies at (0, -0.55, -0.95). A head pose is (rotation vector in rad, translation in fu) about this origin:
``x_world = R(pose[:3]) @ x + pose[3:]``. A camera is a 3x4 matrix from face coordinates to homogeneous pixels.
"""

from typing import Final

SCHEMA_VERSION: Final = 1

MEDIA_HZ: Final = 48_000
SAMPLE_HZ: Final = 16_000
MEL_HZ: Final = 120
MOTION_HZ: Final = 60
TICKS_PER_SAMPLE: Final = MEDIA_HZ // SAMPLE_HZ
TICKS_PER_MEL: Final = MEDIA_HZ // MEL_HZ
TICKS_PER_MOTION: Final = MEDIA_HZ // MOTION_HZ
MELS_PER_MOTION: Final = MEL_HZ // MOTION_HZ
MEL_LAG: Final = 3
"""Motion frame n goes with mel frames 2n - 3 and 2n - 2: the last pair whose windows end by the frame's own time, so
that a lookahead of d frames hears d / 60 s and not a window more."""

MEL_BANDS: Final = 80
MEL_FFT: Final = 512
MEL_WINDOW: Final = 267
"""Samples of one analysis window: 1/60 s at 16 kHz (266.67) rounded up."""
MEL_LOW_HZ: Final = 90.0
MEL_HIGH_HZ: Final = 7600.0
MEL_FLOOR: Final = 1e-5

APC_LAYERS: Final = 3
APC_UNITS: Final = 512
APC_SHIFTS: Final = 3
"""Mel frames that the encoder's linear head looks ahead in training."""

MANIFOLD_NEIGHBOURS: Final = 10

LANDMARKS: Final = 68
JAW: Final = slice(0, 17)
BROWS: Final = slice(17, 27)
NOSE: Final = slice(27, 36)
EYES: Final = slice(36, 48)
MOUTH: Final = slice(48, 68)
OUTER_LIPS: Final = slice(48, 60)
INNER_LIPS: Final = slice(60, 68)
MOTION_POINTS: Final = slice(27, 68)
"""The 41 points that the motion generator moves: 9 of the nose, 12 of the eyes, 20 of the mouth."""
MOTION_POINT_COUNT: Final = 41
MOTION_DIM: Final = 3 * MOTION_POINT_COUNT
OUTER_EYE_CORNERS: Final = (36, 45)
INNER_LIP_PAIRS: Final = ((61, 67), (62, 66), (63, 65))
"""Upper and lower inner-lip points that face each other; their mean distance is the mouth's opening."""

EYE_MIDPOINT: Final = (0.0, -0.55, -0.95)

MOTION_LSTM_LAYERS: Final = 3
MOTION_LSTM_UNITS: Final = 256
MOTION_MLP: Final = (256, 512, 75)
MOTION_SEQUENCE: Final = 240
MAX_LOOKAHEAD: Final = 18
"""Motion frames of audio that the generator may see beyond the frame it draws: 300 ms."""

POSE_DIM: Final = 6
POSE_HISTORY: Final = 255

IMAGE_SIZE: Final = 512
"""Width and height in pixels of portraits, facial maps and frames."""
