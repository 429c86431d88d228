"""Files for a cluster as tests read them, and the schema of one of their readers."""

import yaml


def documents(text):
    return list(yaml.safe_load_all(text))


# What SkyPilot's YAML reference (0.14, read 2026-11-25) says of the fields that are written here.
SKY = {
    "type": "object",
    "required": ["resources", "run"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*$"},
        "workdir": {"type": "string"},
        "num_nodes": {"type": "integer", "minimum": 1},
        "envs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "file_mounts": {"type": "object", "additionalProperties": {"type": "string"}},
        "secrets": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "setup": {"type": "string"},
        "run": {"type": "string"},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "cpus": {"type": "string", "pattern": r"^\d+\+?$"},
                "memory": {"type": "string", "pattern": r"^\d+\+?$"},
                "disk_size": {"type": "integer"},
                "ports": {"type": "array", "items": {"type": ["integer", "string"]}},
                "accelerators": {"type": "object", "additionalProperties": {"type": "number"}},
                "image_id": {"type": "string"},
            },
        },
        "service": {
            "type": "object",
            "required": ["readiness_probe"],
            "additionalProperties": False,
            "properties": {
                "ports": {"type": "integer"},
                "readiness_probe": {
                    "type": "object",
                    "required": ["path"],
                    "properties": {"path": {"type": "string"}, "initial_delay_seconds": {"type": "number"}},
                    "additionalProperties": False,
                },
                "replica_policy": {
                    "type": "object",
                    "required": ["min_replicas"],
                    "properties": {
                        "min_replicas": {"type": "integer"},
                        "max_replicas": {"type": "integer"},
                        "target_qps_per_replica": {"type": "number"},
                    },
                    "additionalProperties": False,
                },
            },
        },
    },
}
