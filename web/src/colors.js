// Colours that mean something; those of handmesh_ros/visualization/draw.py.

export const FINGERS = ["#f0503c", "#fab428", "#5ad25a", "#3c96fa", "#be5ae6"];
export const SIDE_COLORS = ["#5fafff", "#ffaa5f"];
export const TRUTH = "#2fbf71";
export const OTHER = "#e05fc4";
