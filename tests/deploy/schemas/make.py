#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes kubernetes/ from swagger.json of the Kubernetes source and the schemas in crds/:

    tests/deploy/schemas/make.py SWAGGER

The output has the form that kubeconform requires: one file for each kind, which refuses unknown
properties. Descriptions are left out, and so are definitions that the chart's kinds do not use.
swagger.json of Kubernetes 1.37.2 is in the module k8s.io/kubernetes, api/openapi-spec.
"""
import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {("", "v1", "ConfigMap"), ("", "v1", "Service"), ("", "v1", "ServiceAccount"), ("apps", "v1", "Deployment"),
         ("autoscaling", "v2", "HorizontalPodAutoscaler"), ("networking.k8s.io", "v1", "Ingress"),
         ("networking.k8s.io", "v1", "NetworkPolicy"), ("policy", "v1", "PodDisruptionBudget")}


def strict(schema):
    """Removes descriptions, and forbids additional properties in objects that list theirs."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "definitions"):
            kept[key] = {name: strict(item) for name, item in value.items()}
        elif key in ("enum", "required", "default"):
            kept[key] = value
        elif key != "description" and not key.startswith("x-kubernetes-"):
            kept[key] = strict(value)
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        kept.pop("type", None)
        kept["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    kept.pop("format", None)
    if "properties" in kept and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


def reached(schema, definitions, found):
    if isinstance(schema, dict):
        if name := schema.get("$ref", "").removeprefix("#/definitions/"):
            if name not in found:
                found[name] = strict(definitions[name])
                reached(definitions[name], definitions, found)
        for value in schema.values():
            reached(value, definitions, found)
    elif isinstance(schema, list):
        for value in schema:
            reached(value, definitions, found)


def write(group, version, kind, schema):
    path = HERE / "kubernetes" / f"{kind.lower()}{'-' + group.split('.')[0] if group else ''}-{version}.json"
    path.write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n")


def main():
    (HERE / "kubernetes").mkdir(exist_ok=True)
    definitions = json.loads(pathlib.Path(sys.argv[1]).read_text())["definitions"]
    for name, definition in definitions.items():
        for named in definition.get("x-kubernetes-group-version-kind", []):
            key = (named["group"], named["version"], named["kind"])
            if key in KINDS and len(definition["x-kubernetes-group-version-kind"]) == 1:
                parts = {}
                reached(definition, definitions, parts)
                write(*key, {**strict(definition), "definitions": parts})
    for path in (HERE / "crds").glob("*.yaml"):
        resource = yaml.safe_load(path.read_text())["spec"]
        for version in resource["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            write(resource["group"], version["name"], resource["names"]["kind"], schema)


if __name__ == "__main__":
    main()
