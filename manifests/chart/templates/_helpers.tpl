{{- /* An image's reference. Takes the chart's root and the values of the image. */}}
{{- define "invalid-drop.image" -}}
{{- .image.registry | default .root.Values.global.imageRegistry }}/{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}
{{- else }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* Options as environment variables: onDrift is INVALID_DROP_ON_DRIFT. A number would be printed as 4.194304e+06. */}}
{{- define "invalid-drop.options" -}}
{{- range $name, $value := . }}
- name: INVALID_DROP_{{ $name | snakecase | upper }}
  {{- if kindIs "string" $value }}
  value: {{ $value | quote }}
  {{- else if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else }}
  value: {{ $value | int64 | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Where pods of both kinds run, and how they pull. Takes the chart's root and the values of the kind. */}}
{{- define "invalid-drop.pod" -}}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $.pods $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* More labels of the objects for the Prometheus operator. */}}
{{- define "invalid-drop.monitoringLabels" -}}
{{- with .Values.monitoring.labels }}
{{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
