import numpy as np
import pytest

from engine.errors import ArtefactError
from training.corpus.heads.assets import Assets
from training.corpus.heads.obj_file import parse_obj
from training.corpus.heads.proxy import read_proxy, texture_of
from training.corpus.heads.render_mesh import build_mesh
from training.corpus.heads.subdivision import subdivide
from training.corpus.heads.targets import Targets

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
SIDES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]],
    np.int32,
)


def test_a_cube_is_rounded_as_catmull_and_clark_say():
    step = subdivide(8, SIDES, 8, SIDES)
    points = step.matrix @ CUBE
    assert len(points) == 8 + 12 + 6
    assert np.abs(points[:8]) == pytest.approx(5 / 9)
    assert np.linalg.norm(points[8:20], axis=1) == pytest.approx(np.hypot(0.75, 0.75))
    assert np.linalg.norm(points[20:], axis=1) == pytest.approx(1.0)
    assert len(step.quads) == 24
    assert np.asarray(step.uv_matrix @ CUBE)[:8] == pytest.approx(CUBE)


def test_the_border_of_a_sheet_stays_flat():
    points = np.array([[x, y, 0] for y in range(3) for x in range(3)], np.float32)
    quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4], [3, 4, 7, 6], [4, 5, 8, 7]], np.int32)
    moved = np.asarray(subdivide(9, quads, 9, quads).matrix @ points)
    assert moved[1] == pytest.approx([1, 0, 0])
    assert moved[4] == pytest.approx([1, 1, 0])


def test_vertices_are_split_at_seams_but_normals_stay_smooth():
    uv = np.zeros((16, 2), np.float32)
    uv_sides = SIDES.copy()
    uv_sides[0] += 8
    mesh = build_mesh(subdivide(8, SIDES, 8, SIDES).matrix[:8], SIDES, uv, uv_sides, np.array([1, 1, 1, 1, 1, 2]))
    assert len(mesh.gather) > 8
    assert set(mesh.classes) == {1, 2}
    normals = mesh.normals(CUBE)
    assert (np.sign(normals) == np.sign(CUBE)).all()
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "v 0 0 zero\n", "v 0 0 0\nf 1 2 3 4\n"])
def test_what_is_no_mesh_is_refused(text):
    with pytest.raises(ArtefactError, match=r"thing\.obj is not a mesh"):
        parse_obj(text, "thing.obj")


def test_a_triangle_repeats_its_last_corner():
    mesh = parse_obj("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "t.obj")
    assert mesh.quads.tolist() == [[0, 1, 2, 2]]


def write(root, files):
    for name, text in {"3dobjs/base.obj": "v 0 0 0\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Assets(root)


HAT_MESH = "v 0 0 0\nv 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3 4\n"


def test_a_proxy_hangs_on_its_head(tmp_path):
    clo = (
        "# hat\nobj_file hat.obj\nx_scale 0 1 2.0\nverts 0\n3\n0 1 2 0.5 0.5 0 1 1 1\n0 1 2 1 0 0 0 0 0\n2\n"
        "delete_verts\n0 2 - 3\n"
    )
    proxy = read_proxy(write(tmp_path, {"hair/hat.mhclo": clo, "hair/hat.obj": HAT_MESH}), "hair/hat.mhclo", 5)
    head = np.array([[0, 0, 0], [4, 0, 0], [0, 8, 0], [1, 2, 3], [9, 9, 9]], np.float32)
    scale = proxy.scale(head)
    assert scale.tolist() == [2, 1, 1]
    assert proxy.fit(head, scale).tolist() == [[1, 2, 3], [4, 1, 1], [0, 0, 0], [0, 8, 0]]
    # The scale of the neutral head holds while the head changes.
    assert proxy.fit(2 * head, scale)[1].tolist() == [6, 1, 1]
    assert proxy.hidden.tolist() == [True, False, True, True, False]
    assert proxy.carry(np.arange(5, dtype=np.float32)[:, None]).ravel().tolist() == [3, 0.5, 0, 2]


@pytest.mark.parametrize(
    ("clo", "why"),
    [
        ("obj_file hat.obj\nverts 0\n0\n", "does not fit"),
        ("obj_file hat.obj\nverts 0\n" + "99\n" * 4, "does not fit"),
        ("obj_file hat.obj\nx_scale 0 one 2\n", "not a MakeHuman proxy"),
        ("obj_file other.obj\nverts 0\n0\n", r"holds no hair/other\.obj"),
    ],
)
def test_a_bad_proxy_is_refused(tmp_path, clo, why):
    with pytest.raises(ArtefactError, match=why):
        read_proxy(write(tmp_path, {"hair/hat.mhclo": clo, "hair/hat.obj": HAT_MESH}), "hair/hat.mhclo", 5)


def test_a_material_names_its_texture(tmp_path):
    assets = write(
        tmp_path, {"skins/a/a.mhmat": "name a\ndiffuseTexture ../textures/a.png\n", "skins/b.mhmat": "name b\n"}
    )
    assert texture_of(assets, "skins/a/a.mhmat") == "skins/textures/a.png"
    with pytest.raises(ArtefactError, match="names no diffuseTexture"):
        texture_of(assets, "skins/b.mhmat")


def test_targets_add_up(tmp_path):
    targets = Targets(write(tmp_path, {"targets/nose/up.target": "# x\n1 0 2 0\n", "targets/nose/bad.target": "1 2\n"}))
    points = np.zeros((2, 3), np.float32)
    targets.add(points, "nose/up", 0.5)
    targets.add(points, "nose/up", 1.0)
    assert points.tolist() == [[0, 0, 0], [0, 3, 0]]
    assert targets.names("nose") == ["nose/bad", "nose/up"]
    for name, why in (("nose/down", "no target"), ("nose/bad", "not a target file")):
        with pytest.raises(ArtefactError, match=why):
            targets.add(points, name, 1.0)
    with pytest.raises(ArtefactError, match="does not have"):
        targets.add(points[:1], "nose/up", 1.0)
