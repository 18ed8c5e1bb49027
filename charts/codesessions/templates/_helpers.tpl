{{/* The start of every name; long suffixes still fit into 63 characters. */}}
{{- define "codesessions.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default "codesessions" -}}
{{- /* Releases may have dots and start with a digit, Services may not. */ -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if regexMatch "^[0-9]" $release }}{{ $release = printf "cs-%s" $release }}{{ end -}}
{{- if contains $name $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" ($release | trunc (int (sub 39 (len $name))) | trimSuffix "-") $name -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What Deployments select by. The operator's NetworkPolicy for workspaces counts on name and component. */}}
{{- define "codesessions.selectorLabels" -}}
app.kubernetes.io/name: codesessions
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "codesessions.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: codesessions
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: codesessions
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels and annotations of an object: (dict "root" $ "component" "api" "labels" (dict) "annotations" (dict)). */}}
{{- define "codesessions.metadata" -}}
{{- $labels := dict -}}
{{- with .component }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end -}}
labels:
  {{- toYaml (merge $labels (.labels | default dict) (include "codesessions.labels" .root | fromYaml)) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A number or quantity as text, never as 1e+06. */}}
{{- define "codesessions.number" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}

{{/* A list with what a team sets; an item of ours goes when one of theirs has its key: (dict "ours" (list) "theirs" (list) "key" "name"). */}}
{{- define "codesessions.with" -}}
{{- $taken := list -}}
{{- range .theirs }}{{ $taken = append $taken (index . $.key) }}{{ end -}}
{{- $all := list -}}
{{- range .ours }}{{ if not (has (index . $.key) $taken) }}{{ $all = append $all . }}{{ end }}{{ end -}}
{{- toYaml (concat $all .theirs) -}}
{{- end }}

{{/* A full image reference: (dict "root" $ "image" .Values.images.platform). */}}
{{- define "codesessions.image" -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.images.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* The name of a component's ServiceAccount: (dict "root" $ "component" "api"). */}}
{{- define "codesessions.serviceAccount" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- printf "%s-%s" (include "codesessions.fullname" .root) .component -}}
{{- else -}}
default
{{- end -}}
{{- end }}

{{- define "codesessions.masterKeySecret" -}}
{{- .Values.masterKey.existingSecret | default (printf "%s-master-key" (include "codesessions.fullname" .)) -}}
{{- end }}

{{- define "codesessions.ptyBaseUrl" -}}
{{- if .Values.ptyBaseUrl -}}
{{- trimSuffix "/" .Values.ptyBaseUrl -}}
{{- else if not .Values.ingress.enabled -}}
{{- printf "https://%s" .Values.httpRoute.pty.host -}}
{{- else -}}
{{- printf "%s://%s" (ternary "https" "http" .Values.ingress.tls.enabled) .Values.ingress.pty.host -}}
{{- end -}}
{{- end }}

{{- define "codesessions.apiTlsSecret" -}}
{{- .Values.ingress.api.tlsSecretName | default (printf "%s-api-tls" (include "codesessions.fullname" .)) -}}
{{- end }}

{{- define "codesessions.ptyTlsSecret" -}}
{{- if .Values.ingress.pty.tlsSecretName -}}
{{- .Values.ingress.pty.tlsSecretName -}}
{{- else if eq .Values.ingress.pty.host .Values.ingress.api.host -}}
{{- include "codesessions.apiTlsSecret" . -}}
{{- else -}}
{{- printf "%s-pty-tls" (include "codesessions.fullname" .) -}}
{{- end -}}
{{- end }}

{{/* Rate limits as environment variables: (dict "root" $ "names" (list "reads" ...)). */}}
{{- define "codesessions.rateLimitEnv" -}}
{{- range $name := .names }}
{{- $limit := index $.root.Values.rateLimits $name }}
- name: CODESESSIONS_RATE_{{ upper $name }}
  value: {{ ternary (printf "%d/%d" (int64 $limit.requests) (int64 $limit.seconds)) "0" (gt (int64 $limit.requests) 0) | quote }}
{{- end }}
- name: CODESESSIONS_TRUSTED_PROXIES
  value: {{ join "," .root.Values.rateLimits.trustedProxies | quote }}
{{- end }}
