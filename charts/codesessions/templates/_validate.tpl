{{/* What no schema can say. Every message tells what to set. */}}
{{- define "codesessions.validate" -}}
{{- $ingress := .Values.ingress -}}
{{- if $ingress.enabled -}}
  {{- if not $ingress.api.host -}}
    {{- fail "ingress.api.host is missing: set it to the host of the REST API, for instance api.example.com" -}}
  {{- end -}}
  {{- if not $ingress.pty.host -}}
    {{- fail "ingress.pty.host is missing: set it to the host of terminals, for instance pty.example.com (it may be the API's)" -}}
  {{- end -}}
  {{- if and $ingress.tls.enabled (eq $ingress.api.host $ingress.pty.host) (ne (include "codesessions.apiTlsSecret" .) (include "codesessions.ptyTlsSecret" .)) -}}
    {{- fail "ingress.api.tlsSecretName and ingress.pty.tlsSecretName differ, but the host is the same: set one of them, or both to the same Secret" -}}
  {{- end -}}
  {{- if and (eq $ingress.api.host $ingress.pty.host) (eq $ingress.pty.path "/") -}}
    {{- fail "ingress.pty.path is / on the API's host, so the gateway would take what is the API's: use another host or path /cs_" -}}
  {{- end -}}
{{- else if not (or .Values.ptyBaseUrl .Values.httpRoute.enabled) -}}
  {{- fail "ptyBaseUrl is missing: set it to the URL under which clients reach the gateway, for instance https://pty.example.com, or set ingress.enabled and its hosts, or httpRoute's" -}}
{{- end -}}
{{- $route := .Values.httpRoute -}}
{{- if $route.enabled -}}
  {{- if not $route.parentRefs -}}
    {{- fail "httpRoute.parentRefs is missing: name the Gateway, for instance [{name: public, namespace: infra}]" -}}
  {{- end -}}
  {{- if not (and $route.api.host $route.pty.host) -}}
    {{- fail "httpRoute.api.host or httpRoute.pty.host is missing: set them to the hosts of REST API and terminals (they may be the same)" -}}
  {{- end -}}
  {{- if eq $route.pty.match.value "/" -}}
    {{- if eq $route.api.host $route.pty.host -}}
      {{- fail "httpRoute.pty.match.value is / on the API's host, so the gateway would take what is the API's: use another host, or a RegularExpression /cs_.*" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if .Values.certificate.enabled -}}
  {{- if not (and $ingress.enabled $ingress.tls.enabled) -}}
    {{- fail "certificate.enabled makes certificates for the hosts of ingress: set ingress.enabled and ingress.tls.enabled (a Gateway has its own)" -}}
  {{- end -}}
  {{- if not .Values.certificate.issuerRef.name -}}
    {{- fail "certificate.issuerRef.name is missing: name an Issuer or ClusterIssuer of cert-manager" -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
  {{- fail "podMonitor.enabled and serviceMonitor.enabled exclude each other: everything would be counted twice" -}}
{{- end -}}
{{- range $component := list "api" "gateway" -}}
  {{- $scaling := (index $.Values $component).autoscaling -}}
  {{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
    {{- fail (printf "%s.autoscaling.maxReplicas is less than minReplicas" $component) -}}
  {{- end -}}
  {{- if and $scaling.enabled (not (or $scaling.targetCPUUtilizationPercentage $scaling.targetMemoryUtilizationPercentage $scaling.metrics)) -}}
    {{- fail (printf "%s.autoscaling has no metric: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" $component) -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.registry.bundled.enabled .Values.registry.url -}}
  {{- fail "registry.url and registry.bundled.enabled exclude each other: set one of them" -}}
{{- end -}}
{{- if and .Values.registry.bundled.enabled .Values.registry.bundled.htpasswdSecret -}}
  {{- if not (and .Values.registry.existingSecret .Values.build.credentialsSecret .Values.apps.imagePullSecrets) -}}
    {{- fail "registry.bundled.htpasswdSecret shuts out whoever names no user: set registry.existingSecret, build.credentialsSecret and apps.imagePullSecrets too" -}}
  {{- end -}}
{{- end -}}
{{- if and (eq .Values.apps.route "httproute") .Values.apps.domain (not .Values.apps.gateway) -}}
  {{- fail "apps.gateway is missing: set it to the Gateway that HTTPRoutes attach to, NAMESPACE/NAME" -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.organizations -}}
  {{- if hasKey $seen .name -}}
    {{- fail (printf "organizations names %s twice" .name) -}}
  {{- end -}}
  {{- if eq .name $.Release.Namespace -}}
    {{- fail (printf "organizations names %s, the release's own namespace: sessions must not run beside the operator" .name) -}}
  {{- end -}}
  {{- $_ := set $seen .name true -}}
{{- end -}}
{{- range $component := list "operator" "api" "gateway" -}}
  {{- $account := (index $.Values $component).serviceAccount -}}
  {{- if and (not $account.create) (not $account.name) -}}
    {{- fail (printf "%s.serviceAccount.name is missing: name an existing ServiceAccount, or leave create at true" $component) -}}
  {{- end -}}
{{- end -}}
{{- end }}
