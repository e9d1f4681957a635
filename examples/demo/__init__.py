"""`make demo`: a camera, the detector and a listener, three processes over real DDS."""
