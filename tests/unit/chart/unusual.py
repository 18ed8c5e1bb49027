"""Values that set everything a platform team may set, and look for trouble."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "a" * 64
PROGRAM: dict[str, Any] = {
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "envFrom": [{"configMapRef": {"name": "proxies"}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/certs/own.pem", "subPath": "ca.crt"}],
    "podLabels": {"tier": "front", "numeric": "1"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "system-cluster-critical",
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    "service": {"type": "NodePort", "annotations": {"a": "true"}},
    "podDisruptionBudget": {"maxUnavailable": "50%"},
}
AUTOSCALED: dict[str, Any] = {
    **PROGRAM,
    "autoscaling": {
        "enabled": True,
        "minReplicas": 3,
        "maxReplicas": 9,
        "targetMemoryUtilizationPercentage": 80,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "codesessions_gateway_connections"},
                    "target": {"type": "AverageValue", "averageValue": "500"},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
    },
}
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "platform", "cost-center": "42"},
    "commonAnnotations": {"contact": "platform@example.com", "quote": 'it\'s "quoted": {yes}'},
    "images": {
        "registry": "mirror.example.com:5000",
        "pullPolicy": "Always",
        "platform": {"digest": DIGEST},
        "sidecar": {"digest": DIGEST},
        "workspace": {"digest": DIGEST},
    },
    "imagePullSecrets": [{"name": "pull"}],
    "operator": {**PROGRAM, "replicas": 2},
    "api": AUTOSCALED,
    "gateway": AUTOSCALED,
    "ingress": {"enabled": True, "api": {"host": "api.example.com"}, "pty": {"host": "pty.example.com"}},
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    },
    "grafanaDashboard": {"enabled": True, "labels": {"dashboards": "yes"}, "annotations": {"folder": "Platform"}},
    "helmTest": {"keySecret": "codesessions-test"},
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{{ .Release.Name }}-extra"},
            "data": {"where": "{{ .Release.Namespace }}"},
        }
    ],
}
"""What a cluster without anybody's definitions takes."""
OTHERS: dict[str, Any] = {
    "certificate": {"enabled": True, "issuerRef": {"name": "letsencrypt"}, "duration": "2160h", "renewBefore": "360h"},
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}],
        "api": {"host": "api.example.com"},
        "pty": {"host": "pty.example.com"},
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "alertLabels": {"team": "platform"}},
}
"""What needs the definitions of cert-manager, the Gateway API and the Prometheus operator."""
