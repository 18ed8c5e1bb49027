{{/* How a program reaches the registry: variables, mounts and volumes of a Deployment. */}}
{{- define "codesessions.registryEnv" -}}
{{- $registry := .Values.registry -}}
- name: CODESESSIONS_REGISTRY_URL
  value: {{ $registry.url | quote }}
- name: CODESESSIONS_REGISTRY_PULL_PREFIX
  value: {{ $registry.pullPrefix | quote }}
- name: CODESESSIONS_REGISTRY_AUTH_FILE
  value: {{ not (empty $registry.existingSecret) | ternary "/etc/codesessions-registry/config.json" "" | quote }}
- name: CODESESSIONS_REGISTRY_CA_FILE
  value: {{ not (empty $registry.caBundle) | ternary "/etc/codesessions-registry/ca.crt" "" | quote }}
{{- end }}

{{- define "codesessions.registryMounts" -}}
{{- if or .Values.registry.existingSecret .Values.registry.caBundle -}}
- name: registry
  mountPath: /etc/codesessions-registry
  readOnly: true
{{- end }}
{{- end }}

{{- define "codesessions.registryVolumes" -}}
{{- $registry := .Values.registry -}}
{{- if or $registry.existingSecret $registry.caBundle -}}
- name: registry
  projected:
    defaultMode: 0444
    sources:
      {{- with $registry.existingSecret }}
      - secret:
          name: {{ . }}
          items:
            - key: .dockerconfigjson
              path: config.json
      {{- end }}
      {{- if $registry.caBundle }}
      - configMap:
          name: {{ include "codesessions.fullname" . }}-registry
          items:
            - key: ca.crt
              path: ca.crt
      {{- end }}
{{- end }}
{{- end }}

{{/* TCP port of the registry's URL. */}}
{{- define "codesessions.registryPort" -}}
{{- $url := urlParse .Values.registry.url -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}
