"""Several hands at once, as 3D meshes in metres, from one camera."""

# Generated message code (`handmesh_ros.msg`) lives in the colcon install tree, this code may run
# from the source tree: together they are one package.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)

__version__ = "0.1.0"
