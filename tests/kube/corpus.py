"""Pods of all shapes, as YAML: what injectors meet."""

from __future__ import annotations

from typing import Any

import yaml

Tree = dict[str, Any]

_APP = "containers: [{name: app, image: 'app:1'}]"
_SPECS = {
    "plain": _APP,
    "two containers": "containers: [{name: a, image: a}, {name: b, image: b}]",
    "init container": f"{{initContainers: [{{name: migrate, image: m}}], {_APP}}}",
    "native sidecar of the user's": (
        f"{{initContainers: [{{name: logs, image: l, restartPolicy: Always}}], {_APP}}}"
    ),
    "own base url": (
        "containers: [{name: app, image: a, env: [{name: OPENAI_BASE_URL, value: 'http://mine'}]}]"
    ),
    "own base url from a secret": (
        "containers: [{name: app, image: a, env: [{name: ANTHROPIC_BASE_URL, "
        "valueFrom: {secretKeyRef: {name: s, key: k}}}]}]"
    ),
    "env that refers": (
        "containers: [{name: app, image: a, env: [{name: URL, value: $(OPENAI_BASE_URL)/x}]}]"
    ),
    "lower case proxy": (
        "containers: [{name: app, image: a, env: [{name: https_proxy, value: 'http://p:1'}]}]"
    ),
    "own CA": (
        "containers: [{name: app, image: a, env: [{name: SSL_CERT_FILE, value: /own.pem}]}]"
    ),
    "own Java options": (
        "containers: [{name: app, image: a, env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}]}]"
    ),
    "downward API": (
        "containers: [{name: app, image: a, env: [{name: IP, "
        "valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}]"
    ),
    "envFrom": "containers: [{name: app, image: a, envFrom: [{secretRef: {name: keys}}]}]",
    "envFrom with a prefix": (
        "containers: [{name: app, image: a, envFrom: [{prefix: APP_, configMapRef: {name: c}}]}]"
    ),
    "empty lists": (
        "{initContainers: [], volumes: [], containers: [{name: app, image: a, env: []}]}"
    ),
    "volumes": (
        "{volumes: [{name: data, emptyDir: {}}], containers: [{name: app, image: a, "
        "volumeMounts: [{name: data, mountPath: /data}]}]}"
    ),
    "ConfigMap, Secret, projected, PVC": (
        "{volumes: [{name: c, configMap: {name: c}}, {name: s, secret: {secretName: s}}, "
        "{name: p, projected: {sources: [{serviceAccountToken: {path: token}}]}}, "
        "{name: d, persistentVolumeClaim: {claimName: d}}], " + _APP + "}"
    ),
    "something where the CA belongs": (
        "{volumes: [{name: x, emptyDir: {}}], containers: [{name: app, image: a, "
        "volumeMounts: [{name: x, mountPath: /var/run/llm-sidecar/ca/}]}]}"
    ),
    "probes": (
        "containers: [{name: app, image: a, ports: [{containerPort: 8080}], "
        "startupProbe: {httpGet: {path: /up, port: 8080}}, "
        "readinessProbe: {exec: {command: [/ok]}}, livenessProbe: {tcpSocket: {port: 8080}}}]"
    ),
    "hooks": (
        "containers: [{name: app, image: a, lifecycle: {preStop: {exec: {command: [/bye]}}, "
        "postStart: {httpGet: {path: /hi, port: 80}}}}]"
    ),
    "restricted": (
        "{securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, "
        "seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, image: a, "
        "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}"
    ),
    "privileged container": (
        "containers: [{name: app, image: a, securityContext: {privileged: true}}]"
    ),
    "runs as our user": (
        "containers: [{name: app, image: a, securityContext: {runAsUser: 1414, runAsGroup: 1414}}]"
    ),
    "user namespace": f"{{hostUsers: false, {_APP}}}",
    "shared processes": f"{{shareProcessNamespace: true, {_APP}}}",
    "job": f"{{restartPolicy: Never, {_APP}}}",
    "retried job": f"{{restartPolicy: OnFailure, activeDeadlineSeconds: 60, {_APP}}}",
    "istio": (
        "{initContainers: [{name: istio-init, image: i}], "
        "containers: [{name: app, image: a}, {name: istio-proxy, image: i}]}"
    ),
    "istio that holds the application": (
        "{initContainers: [{name: istio-init, image: i}], "
        "containers: [{name: istio-proxy, image: i}, {name: app, image: a}]}"
    ),
    "istio native": (
        "{initContainers: [{name: istio-init, image: i}, "
        "{name: istio-proxy, image: i, restartPolicy: Always}, {name: migrate, image: m}], "
        + _APP
        + "}"
    ),
    "linkerd": (
        "{initContainers: [{name: linkerd-init, image: l}], "
        "containers: [{name: linkerd-proxy, image: l}, {name: app, image: a}]}"
    ),
    "linkerd native": (
        "{initContainers: [{name: linkerd-init, image: l}, "
        "{name: linkerd-proxy, image: l, restartPolicy: Always}], " + _APP + "}"
    ),
    "resources": (
        "containers: [{name: app, image: a, resources: {requests: {cpu: 1, memory: 1Gi}, "
        "limits: {nvidia.com/gpu: 1}}}]"
    ),
    "scheduling": (
        "{nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}], priorityClassName: high, "
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, "
        "whenUnsatisfiable: DoNotSchedule}], " + _APP + "}"
    ),
    "names and addresses": (
        "{hostAliases: [{ip: 192.0.2.1, hostnames: [h]}], dnsPolicy: None, "
        "dnsConfig: {nameservers: [192.0.2.2]}, hostname: h, subdomain: s, " + _APP + "}"
    ),
    "service account and pull secrets": (
        "{serviceAccountName: sa, automountServiceAccountToken: false, "
        "imagePullSecrets: [{name: pull}], " + _APP + "}"
    ),
    "ephemeral container": (
        f"{{ephemeralContainers: [{{name: debug, image: d, targetContainerName: app}}], {_APP}}}"
    ),
    "grace": f"{{terminationGracePeriodSeconds: 5, enableServiceLinks: false, {_APP}}}",
    "fields from the future": f"{{unheardOf: {{a: [1]}}, {_APP}}}",
}


def corpus() -> dict[str, Tree]:
    """Each pod by what is special about it."""
    made = {name: pod(spec) for name, spec in _SPECS.items()}
    made["generated name"] = pod(_APP) | {
        "metadata": {
            "generateName": "web-7f9-",
            "labels": {"app": "web"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7f9", "uid": "1"}
            ],
        }
    }
    made["annotations"] = pod(_APP) | {
        "metadata": {"name": "p", "annotations": {"team": "a", "prometheus.io/scrape": "true"}}
    }
    made["template without metadata"] = {"spec": pod(_APP)["spec"]}
    return made


def pod(spec: str) -> Tree:
    """A pod with this YAML for its spec."""
    tree = yaml.safe_load(spec if spec.startswith("{") else f"{{{spec}}}")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": tree}
