{{/* What all names begin with: the release's name, with the chart's in it. */}}
{{- define "llm-sidecar.name" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains $chart .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $chart | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "llm-sidecar.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Labels of everything; `component` is put in by who needs it. */}}
{{- define "llm-sidecar.labels" -}}
{{- $own := include "llm-sidecar.selector" . | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- merge $own .Values.commonLabels | toYaml }}
{{- end }}

{{- define "llm-sidecar.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Metadata of a component's pods: `dict "top" $ "component" "gateway" "annotations" dict`. They get
no sidecar: the injector's must start when there is no injector to ask. */}}
{{- define "llm-sidecar.podMetadata" -}}
{{- $values := index .top.Values .component }}
{{- $labels := include "llm-sidecar.labels" .top | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/component" .component }}
{{- $_ := set $labels "llm-sidecar/inject" "disabled" }}
labels:
  {{- merge $labels $values.podLabels | toYaml | nindent 2 }}
{{- with merge .annotations $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "llm-sidecar.serviceAccount" -}}
{{- $values := index .top.Values .component }}
{{- $own := printf "%s-%s" (include "llm-sidecar.name" .top) .component }}
{{- $values.serviceAccount.name | default (ternary $own "default" $values.serviceAccount.create) }}
{{- end }}

{{/* Where pods run, and as whom: `dict "top" $ "component" "injector"`. */}}
{{- define "llm-sidecar.placement" -}}
{{- $values := index .top.Values .component }}
{{- with .top.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
securityContext:
  {{- include "llm-sidecar.podSecurity" .top | nindent 2 }}
{{- end }}

{{- define "llm-sidecar.spread" -}}
{{- $usual := dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" }}
{{- $own := include "llm-sidecar.selector" .top | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/component" .component }}
{{- $selector := dict "labelSelector" (dict "matchLabels" $own) }}
{{- $wanted := (index .top.Values .component).topologySpreadConstraints }}
{{- if not $wanted }}
{{- $wanted = list (dict "topologyKey" "kubernetes.io/hostname") (dict "topologyKey" "topology.kubernetes.io/zone") }}
{{- end }}
topologySpreadConstraints:
{{- range $wanted }}
  - {{ merge (deepCopy .) $selector $usual | toYaml | indent 4 | trim }}
{{- end }}
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

{{/* The addresses of a policy that listen at a port: `dict "policy" x "port" 14001`. */}}
{{- define "llm-sidecar.listeners" -}}
{{- $found := list }}
{{- range .policy.listeners }}
{{- if hasSuffix (printf ":%v" $.port) (toString .address) }}{{ $found = append $found .address }}{{ end }}
{{- end }}
{{- join " " $found }}
{{- end }}
