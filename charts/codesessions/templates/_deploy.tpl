{{/* What the operator is told of applications and builds. */}}
{{- define "codesessions.deployEnv" -}}
{{- $apps := .Values.apps -}}
{{- $build := .Values.build -}}
{{- $pull := list -}}
{{- range $apps.imagePullSecrets }}{{ $pull = append $pull .name }}{{ end -}}
{{- $runtime := dict -}}
{{- with $build.runtimeImage }}{{ $runtime = dict "runtime" . }}{{ end -}}
{{- $settings := dict
  "APPS_DOMAIN" $apps.domain
  "APPS_URL" ($apps.url | default (printf "%s://{host}" (ternary "https" "http" $apps.tls.enabled)))
  "APPS_ROUTE" $apps.route
  "APPS_INGRESS_CLASS" $apps.ingress.className
  "APPS_ANNOTATIONS" (toJson $apps.ingress.annotations)
  "APPS_TLS" (toString $apps.tls.enabled)
  "APPS_TLS_SECRET" $apps.tls.secretName
  "APPS_GATEWAY" $apps.gateway
  "APPS_CUSTOM_HOSTS" (toString $apps.customHosts)
  "APPS_CPU_REQUEST" (include "codesessions.number" $apps.resources.requests.cpu)
  "APPS_MEMORY_REQUEST" (include "codesessions.number" $apps.resources.requests.memory)
  "APPS_CPU_LIMIT" (include "codesessions.number" $apps.resources.limits.cpu)
  "APPS_MEMORY_LIMIT" (include "codesessions.number" $apps.resources.limits.memory)
  "APPS_EGRESS" (join "," $apps.egress.allow)
  "APPS_INGRESS_FROM" (toJson ($apps.ingressFrom | default list))
  "APPS_RUNTIME_CLASS" ($apps.runtimeClassName | default "")
  "APPS_PULL_SECRETS" (join "," $pull)
  "BUILD_IMAGE" ($build.image | default (include "codesessions.image" (dict "root" . "image" .Values.images.platform)))
  "BUILD_RUNTIME_IMAGES" (toJson $runtime)
  "BUILD_BUILDAH_IMAGE" $build.buildah.image
  "BUILD_BUILDAH_SECCOMP_PROFILE" $build.buildah.seccompProfile
  "BUILD_ENV" (toJson $build.env)
  "BUILD_CA_CONFIG_MAP" $build.caConfigMap
  "BUILD_CPU_REQUEST" (include "codesessions.number" $build.resources.requests.cpu)
  "BUILD_MEMORY_REQUEST" (include "codesessions.number" $build.resources.requests.memory)
  "BUILD_CPU_LIMIT" (include "codesessions.number" $build.resources.limits.cpu)
  "BUILD_MEMORY_LIMIT" (include "codesessions.number" $build.resources.limits.memory)
  "BUILD_STORAGE_LIMIT" (include "codesessions.number" $build.storage)
  "BUILD_RUNTIME_CLASS" $build.runtimeClassName
  "BUILD_EGRESS" (join "," $build.egress.allow)
  "BUILD_CREDENTIALS_SECRET" $build.credentialsSecret
  "BUILD_KEPT_SECONDS" (toString (int64 $build.keptSeconds))
  "SOURCE_ENTRIES" (toString (int64 $build.source.entries))
  "SOURCE_FILE_BYTES" (toString (int64 $build.source.fileBytes))
  "SOURCE_TOTAL_BYTES" (toString (int64 $build.source.totalBytes))
-}}
{{- range $name, $value := $settings }}
- name: CODESESSIONS_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
