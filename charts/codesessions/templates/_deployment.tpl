{{/* One Deployment: (dict "root" $ "component" "api" "command" (list) "port" 8080 "portName" "http" "env" (list) "registry" true "cache" true). */}}
{{- define "codesessions.deployment" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "codesessions.fullname" $root }}-{{ .component }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "codesessions.metadata" (dict "root" $root "component" .component) | nindent 2 }}
spec:
  {{- if not (or (kindIs "invalid" $values.replicas) (dig "autoscaling" "enabled" false $values)) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "codesessions.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- toYaml (merge (dict "app.kubernetes.io/component" .component) $values.podLabels (include "codesessions.labels" $root | fromYaml)) | nindent 8 }}
      {{- with merge (dict) $values.podAnnotations $root.Values.commonAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "codesessions.serviceAccount" . }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .component }}
          image: {{ include "codesessions.image" (dict "root" $root "image" $root.Values.images.platform) }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          command: [{{ .command }}]
          env:
            - name: CODESESSIONS_LISTEN
              value: 0.0.0.0:{{ .port }}
            - name: CODESESSIONS_MASTER_KEY_FILE
              value: /etc/codesessions/master-key
            - name: CODESESSIONS_LOG_LEVEL
              value: {{ $root.Values.logging.level }}
            - name: CODESESSIONS_LOG_FORMAT
              value: {{ $root.Values.logging.format }}
            {{- if .registry }}
            {{- include "codesessions.registryEnv" $root | nindent 12 }}
            {{- end }}
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with $values.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: {{ .portName }}
              containerPort: {{ .port }}
              protocol: TCP
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
            timeoutSeconds: 2
          {{- if .drain }}
          # Endpoints forget the pod before it stops to listen.
          lifecycle:
            preStop:
              sleep:
                seconds: 5
          {{- end }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
            readOnlyRootFilesystem: true
          volumeMounts:
            - name: master-key
              mountPath: /etc/codesessions
              readOnly: true
            {{- if .registry }}
            {{- with include "codesessions.registryMounts" $root }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- end }}
            {{- if .cache }}
            - name: cache
              mountPath: /var/cache/codesessions
            {{- end }}
            - name: tmp
              mountPath: /tmp
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: master-key
          secret:
            secretName: {{ include "codesessions.masterKeySecret" $root }}
            defaultMode: 0444
            items:
              - key: {{ $root.Values.masterKey.key }}
                path: master-key
        {{- if .registry }}
        {{- with include "codesessions.registryVolumes" $root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- if .cache }}
        - name: cache
          emptyDir:
            sizeLimit: {{ add $root.Values.registry.cacheMebibytes 64 }}Mi
        {{- end }}
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
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
