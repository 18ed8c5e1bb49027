{{/* How a program reaches the registry: variables, mounts and volumes of a Deployment. */}}
{{- define "codesessions.registryEnv" -}}
{{- $registry := .Values.registry -}}
{{- $bundled := $registry.bundled -}}
- name: CODESESSIONS_REGISTRY_URL
  value: {{ include "codesessions.registryUrl" . | quote }}
- name: CODESESSIONS_REGISTRY_PULL_PREFIX
  value: {{ $registry.pullPrefix | default (and $bundled.enabled (gt (int $bundled.nodePort) 0) | ternary (printf "localhost:%d" (int $bundled.nodePort)) "") | quote }}
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
          name: {{ . | quote }}
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
{{- $url := urlParse (include "codesessions.registryUrl" .) -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}

{{- define "codesessions.registryUrl" -}}
{{- if and .Values.registry.bundled.enabled (not .Values.registry.url) -}}
http://{{ include "codesessions.fullname" . }}-registry.{{ .Release.Namespace }}.svc:5000
{{- else -}}
{{- .Values.registry.url -}}
{{- end -}}
{{- end }}
