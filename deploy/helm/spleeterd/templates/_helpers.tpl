{{- define "spleeterd.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "spleeterd.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "spleeterd.labels" -}}
{{ include "spleeterd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "spleeterd.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "spleeterd.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "spleeterd.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "spleeterd.internet" -}}
- ports: [{port: 443, protocol: TCP}]
  to:
    - ipBlock: {cidr: 0.0.0.0/0, except: {{ toJson .Values.networkPolicy.internet.except }}}
{{- end }}

{{/* The pods of one part, .part being api or worker. */}}
{{- define "spleeterd.pod" -}}
{{- $part := index .Values .part -}}
metadata:
  labels:
    {{- include "spleeterd.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ .part }}
  annotations:
    checksum/settings: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- with $part.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "spleeterd.serviceAccount" . }}
  automountServiceAccountToken: false
  # Kubernetes would set SPLEETER_PORT for a Service named spleeter.
  enableServiceLinks: false
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  # The preStop hook takes 5 s. The process ends 15 s after the drain and the lease at the latest.
  terminationGracePeriodSeconds: {{ add .Values.drainSeconds (.Values.settings.LEASE_S | default 30) 25 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  initContainers:
    # Everybody may write to an emptyDir, and the service refuses such a folder, so this makes a private one inside it.
    - name: data
      image: {{ include "spleeterd.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [install, -d, -m, "0700", /data/spleeterd]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources: {{ toYaml $part.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
  containers:
    - name: {{ .part }}
      image: {{ include "spleeterd.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [{{ ternary "serve" "worker" (eq .part "api") }}]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      envFrom:
        - configMapRef: {name: {{ include "spleeterd.name" . }}}
      env:
        - {name: SPLEETER_CACHE_MB, value: {{ $part.cacheMegabytes | quote }}}
        {{- if eq .part "api" }}
        - {name: SPLEETER_WORKERS, value: "0"}
        {{- else }}
        - {name: SPLEETER_WORKERS, value: "1"}
        - {name: SPLEETER_THREADS, value: {{ .Values.worker.threads | quote }}}
        {{- end }}
        - name: SPLEETER_S3_ACCESS_KEY_ID
          valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: {{ .Values.secret.keys.s3AccessKeyId }}}}
      ports:
        - {name: http, containerPort: 8080}
      startupProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /health, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- if eq .part "api" }}
      # The pod is removed from the endpoints before it stops listening.
      lifecycle:
        preStop: {sleep: {seconds: 5}}
      {{- end }}
      resources: {{ toYaml $part.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/spleeterd, subPath: spleeterd}
        - {name: tmp, mountPath: /tmp}
        - {name: secrets, mountPath: /etc/spleeterd/secrets, readOnly: true}
        {{- if .Values.secret.keys.keysFile }}
        - {name: secrets, mountPath: /var/lib/spleeterd/keys.json, subPath: keys.json, readOnly: true}
        {{- end }}
  volumes:
    - name: data
      emptyDir: {sizeLimit: {{ $part.diskSize }}}
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    - name: secrets
      secret:
        secretName: {{ .Values.secret.name }}
        defaultMode: 0440
        items:
          {{- range $name := list "databaseUrl" "s3SecretAccessKey" "secret" "apiKey" }}
          - {key: {{ index $.Values.secret.keys $name }}, path: {{ $name | kebabcase }}}
          {{- end }}
          {{- with .Values.secret.keys.databaseCa }}
          - {key: {{ . }}, path: database-ca.crt}
          {{- end }}
          {{- with .Values.secret.keys.keysFile }}
          - {key: {{ . }}, path: keys.json}
          {{- end }}
  {{- if .Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "spleeterd.selector" $ | nindent 10 }}
          app.kubernetes.io/component: {{ $.part }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- with $part.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
