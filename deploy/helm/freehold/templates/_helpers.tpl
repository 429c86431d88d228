{{/* Names: RELEASE-freehold, or the release's own where it says freehold already. */}}
{{- define "freehold.fullname" -}}
{{- if contains "freehold" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-freehold" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a part: (dict "root" $ "part" "gateway") */}}
{{- define "freehold.selector" -}}
app.kubernetes.io/name: freehold
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "freehold.labels" -}}
{{ include "freehold.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* name, namespace and labels: (dict "root" $ "part" "gateway" "name" "…") */}}
{{- define "freehold.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "freehold.labels" . | nindent 2 }}
{{- end -}}

{{- define "freehold.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else if or $image.tag (not (regexMatch ":[^/]+$" $image.repository)) -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- else -}}
{{- $image.repository -}}
{{- end -}}
{{- end -}}

{{- define "freehold.replicas" -}}
{{- default 2 .Values.gateway.replicas -}}
{{- end -}}

{{- define "freehold.grace" -}}
{{- $gateway := .Values.gateway -}}
{{- default (add $gateway.preStopSeconds $gateway.drainSeconds 30) $gateway.terminationGracePeriodSeconds -}}
{{- end -}}

{{/* Of a pod: Kubernetes' "restricted" standard. */}}
{{- define "freehold.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
# A volume with many files would be gone through at every start otherwise.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "freehold.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Environment of what reads the store: the database and secrets by reference: (dict "root" $ "secrets" …) */}}
{{- define "freehold.environment" -}}
{{- $database := .root.Values.database -}}
- { name: FREEHOLD_HOME, value: /var/lib/freehold }
- { name: FREEHOLD_STATE, value: /srv/freehold/.freehold }
{{- if $database.existingSecret }}
- name: FREEHOLD_DATABASE_URL
  valueFrom: { secretKeyRef: { name: {{ $database.existingSecret }}, key: {{ $database.key }} } }
{{- end }}
{{- include "freehold.variables" . }}
{{- end -}}

{{/* Each part is given its own secrets, and no other. */}}
{{- define "freehold.variables" -}}
{{- range .secrets }}
- name: {{ .name }}
  valueFrom: { secretKeyRef: { name: {{ .secret }}, key: {{ .key }} } }
{{- end }}
{{- range .root.Values.env }}
- { name: {{ .name }}, value: {{ .value | quote }} }
{{- end }}
{{- end -}}

{{/* The names that a service of this namespace is reached by: (dict "root" $ "name" "…") */}}
{{- define "freehold.serviceNames" -}}
{{- $namespace := .root.Release.Namespace -}}
{{- list .name (printf "%s.%s" .name $namespace) (printf "%s.%s.svc" .name $namespace) (printf "%s.%s.svc.cluster.local" .name $namespace) | toJson -}}
{{- end -}}

{{/* freehold.toml with the engines of the chart as endpoints that cost nothing. */}}
{{- define "freehold.toml" -}}
{{ .Values.config | trimSuffix "\n" }}
{{- range .Values.engines }}

[[endpoints]]
name = {{ .name | quote }}
base_url = "http://{{ include "freehold.fullname" $ }}-{{ .name }}"
{{- with .models }}
models = {{ . | toJson }}
{{- end }}
price = { prompt = 0, completion = 0 }
{{- end }}
{{ end -}}

{{/* A container of an engine's pod, which prepares or serves: (dict "root" $ "engine" … "name" … "command" (list …) "serves" true) */}}
{{- define "freehold.engineContainer" -}}
{{- $engine := .engine -}}
{{- $resources := deepCopy (default dict $engine.resources) -}}
- name: {{ .name }}
  image: {{ default (include "freehold.image" .root) $engine.image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{- toYaml .command | nindent 4 }}
  env:
    - { name: FREEHOLD_HOME, value: /var/lib/freehold }
    - { name: FREEHOLD_STATE, value: /srv/freehold/.freehold }
    {{- if not .serves }}
    - { name: FREEHOLD_OFFLINE, value: "false" }
    {{- end }}
    {{- with $engine.threads }}
    # A pod sees all cores of its machine, and may use those it asked for.
    - { name: FREEHOLD_THREADS, value: {{ . | toString | quote }} }
    {{- end }}
    {{- with include "freehold.variables" (dict "root" .root "secrets" $engine.secrets) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
  workingDir: /srv/freehold
  securityContext: {{- include "freehold.containerSecurity" .root | nindent 4 }}
  {{- if and $engine.gpus .serves }}
  {{- $resources = merge (dict "limits" (dict "nvidia.com/gpu" ($engine.gpus | toString))) $resources }}
  {{- end }}
  {{- with $resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - { name: weights, mountPath: /var/lib/freehold }
    - { name: project, mountPath: /srv/freehold }
    - { name: scratch, mountPath: /tmp }
    {{- if $engine.config }}
    - { name: config, mountPath: /srv/freehold/freehold.toml, subPath: freehold.toml, readOnly: true }
    {{- end }}
    {{- if $engine.sharedMemory }}
    - { name: shared-memory, mountPath: /dev/shm }
    {{- end }}
{{- end -}}
