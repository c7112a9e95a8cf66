"""The causal tree of a trace: built from recorded events, printed for people."""

from ..causality.trace_tree import TraceTree, TreeNode, build_tree
from .text import render_tree, tree_to_dict

__all__ = ["TraceTree", "TreeNode", "build_tree", "render_tree", "tree_to_dict"]
