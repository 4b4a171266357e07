"""Where the parts of SuperGLUE are: its original repository had a loading script; their test rows have no labels."""

SUPER_GLUE = "aps/super_glue"
SUPER_GLUE_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
