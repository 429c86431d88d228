"""The same plan on several machines: Ray, or files for Kubernetes and SkyPilot."""
