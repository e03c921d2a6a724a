"""Service meshes: their policies, and how a Space enters and leaves one."""
