"""The programs of the head renderer, GLSL 3.30.

One program a material: a single one with branches is twice as slow on a CPU. All geometry is in world face
coordinates (+y down, +z away from the camera); colours are linear until ``GRADE``.
"""

from typing import Final

VERTEX: Final = """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in vec4 shares; in vec4 traits; in float opened;
in float lower; in float kind; uniform float jaw;
uniform mat4 bones[5]; uniform mat4 camera; uniform mat4 light_view; uniform float push;
out vec3 P; out vec3 N; out vec3 Q; out vec2 UV; out vec4 S; out vec4 T; out float L; flat out float K;
void main() {
  mat4 M = bones[0] * shares.x + bones[1] * shares.y + bones[2] * shares.z + bones[3] * shares.w
         + bones[4] * (1. - shares.x - shares.y - shares.z - shares.w);
  vec4 p = M * vec4(position, 1.);
  P = p.xyz; N = mat3(M) * normal; Q = position; UV = uv; S = light_view * p; K = kind; L = lower;
  T = vec4(mix(traits.x, opened, jaw), traits.yzw);
  gl_Position = camera * p;
  vec4 behind = camera * (p + vec4(0., 0., push, 0.));
  gl_Position.z = behind.z / behind.w * gl_Position.w;
}"""
"""``traits``: openness to ambient light with a closed mouth, lip, inside of the mouth, stubble; ``opened``: the first
with the jaw down; ``lower``: 0 on the upper, 1 on the lower lip. ``bones``: those of ``TURNING``, then the shoulders.
``push`` moves a part's depth alone away from the camera, in fu."""

DEPTH: Final = """#version 330
in vec2 UV; uniform sampler2D picture; uniform float cut;
void main() { if (cut > 0. && texture(picture, UV).a < cut) discard; }"""

MASK: Final = """#version 330
in vec2 UV; in vec4 T; in float L; flat in float K; uniform sampler2D picture; uniform float cut; uniform float whole;
out vec4 colour;
void main() {
  if (cut > 0. && texture(picture, UV).a < cut) discard;
  float kind = whole < 0. ? K : whole;
  // The outline of the lips is smooth; the faces that form them are not.
  if (whole < 0. && kind < 3.5) kind = T.y < .5 ? 1. : L < .5 ? 2. : 3.;
  colour = vec4(kind / 255., 0., 0., 1.);
}"""
"""Classes by ``MaskClass``: 1 skin, 2 upper lip, 3 lower lip."""

_SHADING: Final = """#version 330
in vec3 P; in vec3 N; in vec3 Q; in vec2 UV; in vec4 S; in vec4 T; out vec4 colour;
uniform sampler2D picture; uniform sampler2D detail; uniform sampler2DShadow shadow_map;
uniform vec3 eye; uniform vec3 key_to, key, fill_to, fill, rim_to, rim, above, below;
uniform float softness; uniform vec3 tint; uniform vec4 finish;
const float PI = 3.14159;
vec3 linear(vec3 c) { return pow(c, vec3(2.2)); }
float lit() {
  vec3 s = S.xyz / S.w * .5 + .5;
  if (any(lessThan(s, vec3(0))) || any(greaterThan(s, vec3(1)))) return 1.;
  float turn = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5) * 2. * PI;
  mat2 R = mat2(cos(turn), sin(turn), -sin(turn), cos(turn));
  vec2 taps[4] = vec2[](vec2(.9, .1), vec2(-.6, .6), vec2(.1, -.9), vec2(-.25, -.2));
  float sum = 0.;
  for (int i = 0; i < 4; i++) sum += texture(shadow_map, vec3(s.xy + R * taps[i] * softness, s.z - .0035));
  return sum / 4.;
}
float gloss(vec3 n, vec3 l, vec3 v, float rough) {
  vec3 h = normalize(l + v);
  float nh = max(dot(n, h), 0.), nl = max(dot(n, l), 0.), nv = max(dot(n, v), .05), a2 = pow(rough, 4.);
  float d = nh * nh * (a2 - 1.) + 1., D = a2 / (PI * d * d), k = (rough + 1.) * (rough + 1.) / 8.;
  float G = 1. / ((nl * (1. - k) + k) * (nv * (1. - k) + k) * 4.);
  return D * G * (.028 + .972 * pow(1. - max(dot(v, h), 0.), 5.)) * nl;
}
vec3 wrap(float d, vec3 w) { return max((d + w) / ((1. + w) * (1. + w)), 0.); }
vec3 sky(vec3 n) { return mix(below, above, .5 - .5 * n.y); }
void main() {
  vec3 v = normalize(eye - P), n = normalize(N);
  vec4 t = texture(picture, UV);
  // Interpolation at the edge of a multisampled triangle extrapolates.
  float open = clamp(T.x, .02, 1.);
"""

SKIN: Final = (
    _SHADING.replace("void main() {", "uniform vec3 lip_tint; uniform vec2 cavity; uniform vec3 beard;\nvoid main() {")
    + """
  float lip = clamp(T.y, 0., 1.), inside = clamp(T.z, 0., 1.), s = lit();
  vec4 fine = texture(detail, UV * finish.x), coarse = texture(detail, UV * finish.x * .23 + .37);
  vec3 px = dFdx(P), py = dFdy(P); vec2 ux = dFdx(UV * finish.x), uy = dFdy(UV * finish.x);
  vec3 a = cross(py, n), b = cross(n, px), along = a * ux.x + b * uy.x, across = a * ux.y + b * uy.y;
  float size = inversesqrt(max(max(dot(along, along), dot(across, across)), 1e-12));
  vec2 slope = (fine.xy * 2. - 1.) * finish.y * (1. - .3 * lip) + (coarse.xy * 2. - 1.) * finish.y * .35;
  vec3 rough_n = normalize(n + (along * slope.x + across * slope.y) * size);
  vec3 albedo = linear(t.rgb) * tint;
  albedo *= mix(vec3(1.), vec3(1., .86, .80) + (coarse.b - .5) * vec3(.3, .42, .46), finish.z);
  albedo *= 1. + (fine.b - .5) * .22 * finish.z;
  albedo = mix(albedo, albedo * beard, clamp(T.w, 0., 1.) * (.75 + .5 * fine.b));
  albedo = mix(albedo, albedo * lip_tint, lip * .75);
  albedo = mix(albedo, vec3(.32, .075, .07), inside);
  vec3 w = vec3(.42, .20, .14), through = mix(vec3(s), vec3(sqrt(s), s, s), .3);
  vec3 light = key * wrap(mix(dot(rough_n, key_to), dot(n, key_to), .35), w) * through
             + fill * wrap(dot(rough_n, fill_to), w) + rim * wrap(dot(n, rim_to), vec3(.1)) * .6;
  light = (light + sky(n) * pow(vec3(open), vec3(.75, 1., 1.08))) * mix(1., open, .45);
  float rough = mix(finish.w, .30, lip);
  float shine = gloss(rough_n, key_to, v, rough) * s + .35 * gloss(rough_n, key_to, v, .22) * s * (.3 + .5 * lip);
  float edge = .028 + .5 * pow(1. - max(dot(rough_n, v), 0.), 5.);
  vec3 c = albedo * light + (key * shine * 2.2 + fill * gloss(rough_n, fill_to, v, rough) * 2.2
         + rim * gloss(rough_n, rim_to, v, .4) * 2.5) * open + sky(n) * edge * open * .55;
  c *= mix(1., exp(-cavity.y * max(0., Q.z - cavity.x)) * .9, inside);
  colour = vec4(c, 1.);
}"""
)

EYE: Final = (
    _SHADING.replace("void main() {", "uniform vec3 eyeball[2]; uniform float eye_radius;\nvoid main() {")
    + """
  float s = lit();
  vec3 from = (Q - (Q.x > 0. ? eyeball[0] : eyeball[1])) / eye_radius;
  // Lids and lashes shade the ball, the upper one most.
  float shade = mix(.38, 1., smoothstep(.62, .05, -from.y)) * mix(.6, 1., smoothstep(.95, .35, abs(from.x)))
              * mix(.75, 1., smoothstep(-.6, -.2, -from.y));
  vec3 light = key * wrap(dot(n, key_to), vec3(.25, .2, .18)) * mix(.35, 1., s)
             + fill * wrap(dot(n, fill_to), vec3(.3)) + sky(n) * .9;
  vec3 c = linear(t.rgb) * tint * light * shade;
  c += (key * gloss(n, key_to, v, .12) * mix(.25, 1., s) * 1.2 + fill * gloss(n, fill_to, v, .14)) * shade;
  colour = vec4(c, 1.);
}"""
)

CORNEA: Final = (
    _SHADING
    + """
  float s = lit(), edge = .25 * pow(1. - max(dot(n, v), 0.), 4.);
  float spot = pow(max(dot(n, normalize(key_to + v)), 0.), 420.) * 6. * mix(.4, 1., s);
  spot += pow(max(dot(n, normalize(fill_to + v)), 0.), 260.) * 1.2;
  vec3 mirror = reflect(-v, n);
  vec3 around = mix(below, above, smoothstep(-.2, .6, -mirror.y));
  float second = pow(max(dot(n, normalize(fill_to + v)), 0.), 200.);
  colour = vec4(key * spot * .8 + fill * second + around * (.035 + edge), 0.);
}"""
)

TEETH: Final = (
    _SHADING.replace("void main() {", "uniform vec3 cavity_teeth; uniform float aperture;\nvoid main() {")
    + """
  float s = lit(), low = min(t.r, min(t.g, t.b)), high = max(t.r, max(t.g, t.b));
  float white = 1. - smoothstep(.08, .25, high - low);
  vec3 albedo = linear(t.rgb);
  albedo = mix(albedo * vec3(.8, .5, .5), pow(albedo, vec3(.6)) * tint, white);
  float dark = exp(-cavity_teeth.y * max(0., Q.z - cavity_teeth.x));
  dark *= mix(1., .25, smoothstep(.22, .38, abs(Q.x - cavity_teeth.z)));
  // Enamel is translucent and lips throw light on it: shadows on teeth are never deep.
  vec3 light = (key * wrap(dot(n, key_to), vec3(.5, .46, .45)) * mix(.6, 1., s)
             + fill * wrap(dot(n, fill_to), vec3(.4)) + 1.15 * sky(n)) * dark * mix(.75, 1., aperture);
  vec3 shine = key * gloss(n, key_to, v, .25) * 1.3 * s + fill * gloss(n, fill_to, v, .25);
  colour = vec4(albedo * light + shine * dark, 1.);
}"""
)

TONGUE: Final = (
    _SHADING.replace("void main() {", "uniform vec3 cavity_teeth; uniform float aperture;\nvoid main() {")
    + """
  if (!gl_FrontFacing) n = -n;
  float s = lit(), dark = exp(-cavity_teeth.y * max(0., Q.z - cavity_teeth.x));
  vec3 light = (key * wrap(dot(n, key_to), vec3(.3, .25, .25)) * mix(.3, 1., s)
             + fill * wrap(dot(n, fill_to), vec3(.3)) + sky(n)) * dark * mix(.25, .85, aperture);
  vec3 shine = key * gloss(n, key_to, v, .3) * s + fill * gloss(n, fill_to, v, .3);
  colour = vec4(linear(t.rgb) * tint * light + shine * dark * .6 * aperture, 1.);
}"""
)

HAIR: Final = (
    _SHADING.replace("void main() {", "uniform float hard;\nvoid main() {")
    + """
  if (!gl_FrontFacing) n = -n;
  float s = lit();
  float level = clamp((dot(linear(t.rgb), vec3(.3, .59, .11)) - finish.y) * finish.z + .5, .02, 1.4);
  vec3 albedo = tint * level * 2.;
  vec3 px = dFdx(P), py = dFdy(P); vec2 ux = dFdx(UV), uy = dFdy(UV);
  vec3 strand = normalize(-px * uy.x + py * ux.x + 1e-6);
  float along = dot(strand, normalize(key_to + v)), sheen = pow(sqrt(max(1. - along * along, 0.)), finish.x);
  vec3 light = key * wrap(dot(n, key_to), vec3(.35)) * mix(.25, 1., s) + fill * wrap(dot(n, fill_to), vec3(.4))
             + sky(n) * open + rim * wrap(dot(n, rim_to), vec3(.2));
  vec3 c = albedo * light * mix(.35, 1., open)
         + (key * sheen * mix(.15, 1., s) * .07 + rim * pow(1. - max(dot(n, v), 0.), 3.) * .10)
         * (tint * .8 + .1) * level * 2.;
  // Alpha becomes coverage: strands need no order. Four samples would show a faint fringe as a flat band.
  float cover = clamp((t.a - .25) * 1.8, 0., 1.);
  if (hard > 0. && cover < .5) discard;
  colour = vec4(c, cover);
}"""
)

CLOTH: Final = (
    _SHADING
    + """
  if (!gl_FrontFacing) n = -n;
  float s = lit();
  float weave = (texture(detail, UV * finish.x).x - .5) * .25;
  vec3 light = key * wrap(dot(n, key_to) + weave, vec3(.1)) * s + fill * wrap(dot(n, fill_to), vec3(.15))
             + sky(n) * open + rim * wrap(dot(n, rim_to), vec3(.1)) * .5;
  colour = vec4(linear(t.rgb) * tint * light * mix(1., open, .5) + sky(n) * .02, 1.);
}"""
)

FRINGE: Final = (
    _SHADING
    + """
  // Brows and lashes: thin hairs without a side of their own.
  float density = finish.y > 0. ? pow(t.a, .65) : t.a;
  vec3 light = key * .35 + fill * .35 + sky(vec3(0., -1., 0.)) * .6;
  colour = vec4(tint * light, min(1., density * finish.x));
}"""
)

SCREEN: Final = """#version 330
out vec2 place;
void main() {
  vec2 p = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
  place = p; gl_Position = vec4(p * 2. - 1., .9999, 1.);
}"""

BACKGROUND: Final = """#version 330
in vec2 place; out vec4 colour; uniform sampler2D picture;
void main() { colour = vec4(pow(texture(picture, place).rgb, vec3(2.2)), 1.); }"""

GRADE: Final = """#version 330
in vec2 place; out vec4 colour; uniform sampler2D picture;
uniform vec3 gain; uniform vec3 shadows; uniform float film; uniform float contrast; uniform float saturation;
uniform float vignette;
vec3 aces(vec3 x) { return clamp((x * (2.51 * x + .03)) / (x * (2.43 * x + .59) + .14), 0., 1.); }
void main() {
  vec3 c = texture(picture, place).rgb * gain;
  c *= 1. - vignette * dot(place - .5, place - .5) * 2.;
  c = pow(mix(clamp(c, 0., 1.), aces(c * .8), film), vec3(1. / 2.2));
  float luma = dot(c, vec3(.299, .587, .114));
  c = mix(vec3(luma), c, saturation);
  c = mix(c, c * c * (3. - 2. * c), contrast);
  colour = vec4(c + shadows * (1. - luma) * (1. - luma), 1.);
}"""
