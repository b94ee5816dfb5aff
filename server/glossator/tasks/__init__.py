"""The things a user can ask for, one file each; a prompt is a template beside its task."""
