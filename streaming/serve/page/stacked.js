// Stacked alpha on a canvas: a source of twice the height, colour above and opacity below, drawn as one picture that is
// transparent where nobody is. The canvas holds premultiplied colour, as the page's compositor wants it.

const VERTEX = `
attribute vec2 corner;
varying vec2 place;
void main() {
  place = vec2(corner.x * 0.5 + 0.5, 0.5 - corner.y * 0.5);
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

// A codec leaves a trace of opacity beyond the edge and takes a little inside: both ends are cut.
// Half a texel at the seam keeps colour and opacity from running into each other.
const FRAGMENT = `
precision mediump float;
uniform sampler2D picture;
uniform float stacked;
uniform float seam;
varying vec2 place;
void main() {
  if (stacked < 0.5) {
    gl_FragColor = vec4(texture2D(picture, place).rgb, 1.0);
    return;
  }
  float y = clamp(place.y * 0.5, seam, 0.5 - seam);
  vec3 colour = texture2D(picture, vec2(place.x, y)).rgb;
  float opacity = texture2D(picture, vec2(place.x, y + 0.5)).r;
  opacity = clamp((opacity - 0.03) / 0.94, 0.0, 1.0);
  gl_FragColor = vec4(min(colour, vec3(opacity)), opacity);
}`;

export class StackedCanvas {
  #gl;
  #stacked;
  #seam;

  /** @param {HTMLCanvasElement} canvas 512x512. */
  constructor(canvas) {
    const gl = canvas.getContext("webgl", { alpha: true, premultipliedAlpha: true, antialias: false });
    if (!gl) throw new Error("This browser has no WebGL, which puts the picture and its transparency together.");
    this.#gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const [name, value] of [
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR],
      [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
    ])
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    this.#stacked = gl.getUniformLocation(program, "stacked");
    this.#seam = gl.getUniformLocation(program, "seam");
  }

  /**
   * Draw a picture.
   * @param {HTMLVideoElement|ImageBitmap} source stacked if it is higher than wide.
   */
  draw(source) {
    const gl = this.#gl;
    const width = source.videoWidth ?? source.width;
    const height = source.videoHeight ?? source.height;
    if (!width || !height) return;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, source);
    gl.uniform1f(this.#stacked, height > width ? 1 : 0);
    gl.uniform1f(this.#seam, 0.75 / height);
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
}
