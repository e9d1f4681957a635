"""Several hands at once, as 3D meshes in metres, from one camera."""

# Generated message code (`handmesh_ros.msg`) lives in the colcon install tree, this code may run
# from the source tree: together they are one package.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)

# ONNX Runtime's wheels for Linux keep a device id and a store of events in the user's cache; set
# ORT_DISABLE_TELEMETRY=0 to let them. It is read when ONNX Runtime starts, so it is set here.
__import__("os").environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__import__("handmesh_ros.common.renamed").common.renamed.install()

__version__ = "0.1.0"
