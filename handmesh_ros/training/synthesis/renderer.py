"""The rasteriser of the training images: OpenGL through EGL, without a display, CPU or GPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handmesh_ros.errors import HandmeshError
from handmesh_ros.training.synthesis.meshes import Mesh

LIGHTS = 3
TEXTURE_SIZE = 512
SHADOW_SIZE = 512
NEAR, FAR = 0.04, 20.0
VERTEX_FLOATS = 15

_SHADE_VERTEX = """
#version 330
uniform mat4 projection;
uniform mat4 light_projection;
uniform vec3 light_direction[3];
uniform vec3 light_color[3];
uniform vec3 sky; uniform vec3 ground; uniform vec3 up;
uniform float roughness;
in vec3 in_position; in vec3 in_normal; in vec3 in_color; in vec2 in_uv;
in vec4 in_surface;
out vec3 key; out vec3 fill; out vec3 key_highlight; out vec3 fill_highlight;
out vec3 albedo; out vec3 uv; out vec3 in_light;
void main() {
    float gloss = in_surface.z;
    vec3 wrap = in_surface.w * vec3(0.30, 0.14, 0.10);
    vec3 view = normalize(-in_position);
    float sharp = exp2(9.0 * (1.0 - roughness) + 1.0);
    fill = mix(ground, sky, 0.5 + 0.5 * dot(in_normal, up));
    fill_highlight = vec3(0.0);
    for (int i = 0; i < 3; i++) {
        float facing = dot(in_normal, light_direction[i]);
        vec3 light = light_color[i] * clamp((vec3(facing) + wrap) / (1.0 + wrap), 0.0, 1.0);
        vec3 halfway = normalize(light_direction[i] + view);
        float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(halfway, view), 0.0), 5.0);
        vec3 highlight = gloss * light_color[i] * max(facing, 0.0) * fresnel * (sharp + 8.0) / 25.0
            * pow(max(dot(in_normal, halfway), 0.0), sharp);
        if (i == 0) { key = light; key_highlight = highlight; }
        else { fill += light; fill_highlight += highlight; }
    }
    albedo = in_color;
    uv = vec3(in_uv, in_surface.x);
    in_light = (light_projection * vec4(in_position + 0.004 * in_normal, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = projection * vec4(in_position, 1.0);
}
"""

_SHADE_FRAGMENT = """
#version 330
uniform sampler2DArray textures;
uniform sampler2DShadow shadow_map;
uniform float shadow_strength; uniform float exposure;
in vec3 key; in vec3 fill; in vec3 key_highlight; in vec3 fill_highlight;
in vec3 albedo; in vec3 uv; in vec3 in_light;
out vec4 pixel;
void main() {
    vec3 texel = uv.z < -0.5 ? vec3(1.0) : texture(textures, uv).rgb;
    float lit = mix(1.0, texture(shadow_map, in_light), shadow_strength);
    vec3 radiance = albedo * texel * texel * (fill * (0.8 + 0.2 * lit) + key * lit)
        + fill_highlight + key_highlight * lit;
    pixel = vec4(sqrt(exposure * radiance / (1.0 + 0.15 * radiance)), 1.0);
}
"""

_PLAIN_VERTEX = """
#version 330
uniform mat4 projection;
in vec3 in_position; in vec4 in_surface;
flat out float instance; out float depth;
void main() {
    instance = in_surface.y; depth = in_position.z;
    gl_Position = projection * vec4(in_position, 1.0);
}
"""

_PLAIN_FRAGMENT = """
#version 330
flat in float instance; in float depth;
layout(location = 0) out float out_instance; layout(location = 1) out float out_depth;
void main() { out_instance = instance / 255.0; out_depth = depth; }
"""

_SHADOW_VERTEX = """
#version 330
uniform mat4 projection;
in vec3 in_position;
void main() { gl_Position = projection * vec4(in_position, 1.0); }
"""

_SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

_BACKGROUND_VERTEX = """
#version 330
in vec2 in_corner; out vec2 uv;
void main() { uv = in_corner * 0.5 + 0.5; gl_Position = vec4(in_corner, 0.99999, 1.0); }
"""

_BACKGROUND_FRAGMENT = """
#version 330
uniform sampler2D image; in vec2 uv; out vec4 pixel;
void main() { pixel = vec4(texture(image, uv).rgb, 1.0); }
"""


@dataclass
class Lighting:
    """Light of one scene; directions point from the surface to the light, camera frame.

    Attributes:
        directions: (3, 3) unit vectors; the first light casts shadows.
        colors: (3, 3) linear RGB strengths.
        sky: (3,) ambient light from `up`, linear RGB.
        ground: (3,) ambient light from the opposite side.
        up: (3,) unit vector.
        exposure: factor on everything drawn (not on the background).
        shadow: strength of the cast shadow, 0..1.
        roughness: of the highlights, 0..1.
    """

    directions: np.ndarray
    colors: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    up: np.ndarray = field(default_factory=lambda: np.array([0.0, -1.0, 0.0]))
    exposure: float = 1.0
    shadow: float = 0.8
    roughness: float = 0.6


@dataclass
class Rendering:
    """A drawn image.

    Attributes:
        color: (H, W, 3) uint8 sRGB.
        instance: (H, W) uint8, `Mesh.instance` of the nearest surface, 0 for the background.
        depth: (H, W) float32, metres along the optical axis, infinite for the background.
    """

    color: np.ndarray
    instance: np.ndarray
    depth: np.ndarray


def projection_matrix(intrinsics: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the (4, 4) OpenGL projection of a pinhole camera whose image rows run downwards.

    Buffer row 0 is image row 0, so what is read back needs no flip. The centre of the top-left
    pixel is (0, 0).
    """
    fx, fy, cx, cy = intrinsics
    return np.array(
        [
            [2 * fx / width, 0, (2 * cx + 1) / width - 1, 0],
            [0, 2 * fy / height, (2 * cy + 1) / height - 1, 0],
            [0, 0, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
            [0, 0, 1, 0],
        ]
    )


def _light_matrix(direction: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the (4, 4) orthographic projection that sees (P, 3) points from the light."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(direction, right), -direction])
    seen = points @ axes.T
    low, high = seen.min(0) - 0.01, seen.max(0) + 0.01
    scale = 2.0 / (high - low)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * scale[:, None]
    matrix[:3, 3] = -(high + low) / (high - low)
    return matrix


def open_context() -> Any:
    """Return a new moderngl context on EGL.

    Raises:
        HandmeshError: moderngl or EGL is missing.
    """
    try:
        import moderngl
    except ImportError as error:
        raise HandmeshError(
            "Drawing training images needs the package moderngl: pip install '.[train]' in a "
            "checkout of handmesh_ros."
        ) from error
    try:
        options: dict[str, Any] = {"standalone": True, "require": 330, "backend": "egl"}
        return moderngl.create_context(**options)
    except Exception as error:
        raise HandmeshError(
            f"Drawing training images needs EGL with OpenGL 3.3 and opening it failed ({error}): "
            "install the Debian packages libegl1 libegl-mesa0 libgl1-mesa-dri."
        ) from error


class Renderer:
    """Draws meshes over a background into colour, instance numbers and depth.

    Args:
        width: of the images, pixels.
        height: of the images, pixels.
        textures: (L, 512, 512, 3) uint8 sRGB layers.
        samples: of the anti-aliasing; lowered to what the driver offers.

    Raises:
        HandmeshError: moderngl or EGL is missing.
    """

    def __init__(self, width: int, height: int, textures: np.ndarray, samples: int = 4) -> None:
        self.width, self.height = width, height
        context = self._context = open_context()
        self._shade = context.program(_SHADE_VERTEX, _SHADE_FRAGMENT)
        self._plain = context.program(_PLAIN_VERTEX, _PLAIN_FRAGMENT)
        self._depth = context.program(_SHADOW_VERTEX, _SHADOW_FRAGMENT)
        background = context.program(_BACKGROUND_VERTEX, _BACKGROUND_FRAGMENT)
        size, samples = (width, height), min(samples, context.max_samples)
        self._smooth = context.framebuffer(
            [context.renderbuffer(size, 4, samples=samples)],
            context.depth_renderbuffer(size, samples=samples),
        )
        self._color = context.framebuffer([context.renderbuffer(size, 4)])
        self._exact = context.framebuffer(
            [
                context.renderbuffer(size, 1),
                context.renderbuffer(size, 1, dtype="f4"),
            ],
            context.depth_renderbuffer(size),
        )
        self._shadow_map = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow = context.framebuffer(depth_attachment=self._shadow_map)
        self._textures = context.texture_array(
            (TEXTURE_SIZE, TEXTURE_SIZE, len(textures)), 3, np.ascontiguousarray(textures)
        )
        self._textures.build_mipmaps()
        self._image = context.texture(size, 3, alignment=1)
        self._image.filter = (context.NEAREST, context.NEAREST)
        quad = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32))
        self._quad = context.vertex_array(background, [(quad, "2f", "in_corner")])
        context.front_face = "cw"
        self._reserve(1 << 15, 1 << 16)

    def _reserve(self, vertices: int, triangles: int) -> None:
        """Make room for this many vertices and triangles."""
        context = self._context
        self._capacity = (vertices, triangles)
        self._vertices = context.buffer(reserve=vertices * VERTEX_FLOATS * 4)
        self._indices = context.buffer(reserve=triangles * 12)
        whole = (
            self._vertices,
            "3f 3f 3f 2f 4f",
            "in_position",
            "in_normal",
            "in_color",
            "in_uv",
            "in_surface",
        )
        part = (self._vertices, "3f 32x 4f", "in_position", "in_surface")
        position = (self._vertices, "3f 48x", "in_position")
        self._shade_array = context.vertex_array(self._shade, [whole], self._indices)
        self._plain_array = context.vertex_array(self._plain, [part], self._indices)
        self._shadow_array = context.vertex_array(self._depth, [position], self._indices)

    def _upload(self, meshes: list[Mesh]) -> int:
        """Send the meshes to the GPU and return how many triangle corners they have."""
        blocks, faces, start = [], [], 0
        for mesh in meshes:
            count = len(mesh.vertices)
            block = np.empty((count, VERTEX_FLOATS), np.float32)
            block[:, 0:3] = mesh.vertices
            block[:, 3:6] = mesh.normals_or_computed()
            block[:, 6:9] = mesh.colors
            block[:, 9:11] = 0.0 if mesh.uv is None else mesh.uv
            block[:, 11:15] = mesh.layer, mesh.instance, mesh.gloss, mesh.skin
            blocks.append(block)
            faces.append(mesh.faces + start)
            start += count
        if not blocks:
            return 0
        indices = np.concatenate(faces).astype(np.int32)
        if start > self._capacity[0] or len(indices) > self._capacity[1]:
            self._reserve(2 * start, 2 * len(indices))
        self._vertices.write(np.concatenate(blocks))
        self._indices.write(indices)
        return indices.size

    def draw(
        self,
        meshes: list[Mesh],
        intrinsics: np.ndarray,
        lighting: Lighting,
        background: np.ndarray,
    ) -> Rendering:
        """Draw one image.

        Args:
            meshes: in the camera frame, nothing nearer than `NEAR`.
            intrinsics: (4,) fx, fy, cx, cy in pixels.
            lighting: of the meshes.
            background: (H, W, 3) uint8 sRGB.
        """
        with self._context:  # Another renderer of this process may have been used last.
            return self._draw(meshes, intrinsics, lighting, background)

    def _draw(
        self,
        meshes: list[Mesh],
        intrinsics: np.ndarray,
        lighting: Lighting,
        background: np.ndarray,
    ) -> Rendering:
        """Draw one image with the context that is current; see `draw`."""
        width, height = self.width, self.height
        self._context.enable(self._context.DEPTH_TEST)
        corners = self._upload(meshes)
        projection = projection_matrix(intrinsics, width, height).T.astype("f4").tobytes()
        self._plain["projection"].write(projection)
        self._shade["projection"].write(projection)
        if corners:
            self._draw_shadow(meshes, lighting, corners)
        self._image.write(np.ascontiguousarray(background))

        self._smooth.use()
        self._smooth.clear(depth=1.0)
        self._image.use(0)
        self._quad.render(self._context.TRIANGLE_STRIP)
        if corners:
            self._textures.use(1)
            self._shadow_map.use(2)
            self._shade["textures"].value, self._shade["shadow_map"].value = 1, 2
            self._context.enable(self._context.CULL_FACE)
            self._set_lighting(lighting)
            self._shade_array.render(vertices=corners)
        self._context.copy_framebuffer(self._color, self._smooth)

        self._exact.use()
        self._exact.clear(depth=1.0)
        if corners:
            self._plain_array.render(vertices=corners)
        self._context.disable(self._context.CULL_FACE)
        color = np.frombuffer(self._color.read(components=3, alignment=1), np.uint8)
        instance = np.frombuffer(self._exact.read(components=1, alignment=1), np.uint8)
        depth = np.frombuffer(
            self._exact.read(components=1, attachment=1, dtype="f4", alignment=1), np.float32
        ).reshape(height, width)
        return Rendering(
            color.reshape(height, width, 3),
            instance.reshape(height, width),
            np.where(depth > 0, depth, np.inf).astype(np.float32),
        )

    def _draw_shadow(self, meshes: list[Mesh], lighting: Lighting, corners: int) -> None:
        """Fill the shadow map of the first light."""
        hands = [mesh.vertices for mesh in meshes if mesh.skin > 0]
        points = np.concatenate(hands or [mesh.vertices for mesh in meshes])
        matrix = _light_matrix(lighting.directions[0], points).T.astype("f4").tobytes()
        self._shade["light_projection"].write(matrix)
        self._depth["projection"].write(matrix)
        self._shadow.use()
        self._shadow.clear(depth=1.0)
        self._shadow_array.render(vertices=corners)

    def _set_lighting(self, lighting: Lighting) -> None:
        """Hand the light to the shader."""
        program = self._shade
        program["light_direction"].write(np.ascontiguousarray(lighting.directions, "f4"))
        program["light_color"].write(np.ascontiguousarray(lighting.colors, "f4"))
        for name in ("sky", "ground", "up"):
            program[name].value = tuple(float(x) for x in getattr(lighting, name))
        program["exposure"].value = lighting.exposure
        program["shadow_strength"].value = lighting.shadow
        program["roughness"].value = lighting.roughness

    def close(self) -> None:
        """Free everything on the GPU."""
        self._context.release()
