{{/* One Deployment: (dict "root" $ "component" "api" "command" (list) "port" 8080 "portName" "http" "env" (list) "registry" true "cache" true). */}}
{{- define "codesessions.deployment" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .component -}}
{{- $env := list
  (dict "name" "CODESESSIONS_LISTEN" "value" (printf "0.0.0.0:%d" .port))
  (dict "name" "CODESESSIONS_MASTER_KEY_FILE" "value" "/etc/codesessions/master-key")
  (dict "name" "CODESESSIONS_LOG_LEVEL" "value" $root.Values.logging.level)
  (dict "name" "CODESESSIONS_LOG_FORMAT" "value" $root.Values.logging.format)
-}}
{{- if .registry }}{{ $env = concat $env (include "codesessions.registryEnv" $root | fromYamlArray) }}{{ end -}}
{{- $env = concat $env .env -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "codesessions.fullname" $root }}-{{ .component }}
  namespace: {{ $root.Release.Namespace | quote }}
  {{- include "codesessions.metadata" (dict "root" $root "component" .component "annotations" $values.deploymentAnnotations) | nindent 2 }}
spec:
  {{- if not (or (kindIs "invalid" $values.replicas) (dig "autoscaling" "enabled" false $values)) }}
  replicas: {{ int64 $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    {{- toYaml (eq (toString $values.strategy.type) "Recreate" | ternary (omit $values.strategy "rollingUpdate") $values.strategy) | nindent 4 }}
  selector:
    matchLabels:
      {{- include "codesessions.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- toYaml (merge (dict "app.kubernetes.io/component" .component) $values.podLabels (include "codesessions.labels" $root | fromYaml)) | nindent 8 }}
      {{- $checksums := dict }}
      {{- with and .registry $root.Values.registry.caBundle }}{{ $checksums = dict "checksum/registry" (sha256sum .) }}{{ end }}
      {{- with merge $checksums $values.podAnnotations $root.Values.commonAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "codesessions.serviceAccount" . | quote }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ int64 $values.terminationGracePeriodSeconds }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . | quote }}
      {{- end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.runtimeClassName }}
      runtimeClassName: {{ . | quote }}
      {{- end }}
      {{- with $values.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "codesessions.image" (dict "root" $root "image" $root.Values.images.platform) }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          command: [{{ .command }}]
          env:
            {{- include "codesessions.with" (dict "ours" $env "theirs" $values.env "key" "name") | nindent 12 }}
          {{- with $values.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: {{ .portName }}
              containerPort: {{ .port }}
              protocol: TCP
          # On a node that is crowded a start takes its time, and slow answers are better than none.
          startupProbe:
            httpGet:
              path: /healthz
              port: {{ .portName }}
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 120
          livenessProbe:
            httpGet:
              path: /healthz
              port: {{ .portName }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet:
              path: /readyz
              port: {{ .portName }}
            periodSeconds: 2
            timeoutSeconds: 5
          {{- $drain := min 5 (sub $values.terminationGracePeriodSeconds 1) }}
          {{- if and .drain (gt (int $drain) 0) }}
          # Endpoints forget the pod before it stops to listen.
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $drain }}
          {{- end }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $values.securityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            {{- include "codesessions.with" (dict "ours" (include "codesessions.ownMounts" . | fromYamlArray) "theirs" $values.extraVolumeMounts "key" "mountPath") | nindent 12 }}
      volumes:
        {{- include "codesessions.with" (dict "ours" (include "codesessions.ownVolumes" . | fromYamlArray) "theirs" $values.extraVolumes "key" "name") | nindent 8 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- range $values.topologySpreadConstraints | default (list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway")) }}
        - {{- toYaml . | nindent 10 }}
          {{- if not .labelSelector }}
          labelSelector:
            matchLabels:
              {{- include "codesessions.selectorLabels" $ | nindent 14 }}
          {{- end }}
        {{- end }}
{{- end }}

{{/* What our programs need of the pod's file system; its root is read-only. */}}
{{- define "codesessions.ownMounts" -}}
- name: master-key
  mountPath: /etc/codesessions
  readOnly: true
{{- if .registry }}
{{- with include "codesessions.registryMounts" .root }}
{{ . }}
{{- end }}
{{- end }}
{{- if .cache }}
- name: cache
  mountPath: /var/cache/codesessions
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "codesessions.ownVolumes" -}}
- name: master-key
  secret:
    secretName: {{ include "codesessions.masterKeySecret" .root | quote }}
    defaultMode: 0444
    items:
      - key: {{ .root.Values.masterKey.key | quote }}
        path: master-key
{{- if .registry }}
{{- with include "codesessions.registryVolumes" .root }}
{{ . }}
{{- end }}
{{- end }}
{{- if .cache }}
- name: cache
  emptyDir:
    sizeLimit: {{ add .root.Values.registry.cacheMebibytes 64 }}Mi
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}
