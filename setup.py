"""The packages: the library, and the scripts of jobs/ as raycalib.jobs, so that an installed raycalib has them too."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["raycalib*"]), "raycalib.jobs"], package_dir={"raycalib.jobs": "jobs"})
