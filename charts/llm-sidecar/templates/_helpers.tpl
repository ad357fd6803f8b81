{{/* The release's name, with the chart's in it. */}}
{{- define "llm-sidecar.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "llm-sidecar.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Labels of everything; `component` is put in by who needs it. */}}
{{- define "llm-sidecar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "llm-sidecar.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What our own pods may do: what PodSecurity's `restricted` allows, and no writing. */}}
{{- define "llm-sidecar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1414
runAsGroup: 1414
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "llm-sidecar.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{/* Where the policy and the credentials are: our own namespace and the listed ones. */}}
{{- define "llm-sidecar.namespaces" -}}
{{- concat (list .Release.Namespace) .Values.namespaces | uniq | toJson }}
{{- end }}
