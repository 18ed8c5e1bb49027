{{/* First in every template: a value that is null or missing (an older chart's, kept by --reuse-values) is the default. */}}
{{- define "codesessions.ready" -}}
{{- if not (hasKey .Values "_ready") -}}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- $_ := include "codesessions.fill" (dict "values" .Values "defaults" $defaults) -}}
{{- $_ = set .Values "_ready" true -}}
{{- end -}}
{{- end }}

{{/* Where null says something: an autoscaler's replicas; what no pod of ours is to ask for, or to be. */}}
{{- define "codesessions.fill" -}}
{{- $sessions := or (hasKey .defaults "egress") (hasKey .defaults "domain") -}}
{{- range $name, $default := .defaults -}}
  {{- $value := index $.values $name -}}
  {{- if or (eq $name "replicas") (and (eq $name "resources") (not $sessions)) -}}
  {{- else if kindIs "invalid" $value -}}
    {{- $_ := set $.values $name $default -}}
  {{- else if and (kindIs "map" $default) (not (hasSuffix "ecurityContext" $name)) (ne $name "labels") -}}
    {{- $_ := include "codesessions.fill" (dict "values" $value "defaults" $default) -}}
  {{- end -}}
{{- end -}}
{{- end }}
