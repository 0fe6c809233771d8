{{/* hostpath-csi.labels COMPONENT: of every object; COMPONENT may be "". */}}
{{- define "hostpath-csi.labels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
app.kubernetes.io/name: hostpath-csi
{{- with $component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: hostpath-csi
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end -}}

{{/* hostpath-csi.image: the driver's. */}}
{{- define "hostpath-csi.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* hostpath-csi.environment: the flags of the log, by the ConfigMap. */}}
{{- define "hostpath-csi.environment" -}}
- name: HOSTPATH_CSI_V
  valueFrom:
    configMapKeyRef:
      name: hostpath-csi
      key: log-verbosity
- name: HOSTPATH_CSI_LOG_FORMAT
  valueFrom:
    configMapKeyRef:
      name: hostpath-csi
      key: log-format
{{- end -}}

{{/* hostpath-csi.restart: pods are replaced when what they read only at their start is another. */}}
{{- define "hostpath-csi.restart" -}}
checksum/environment: {{ dict "environment" .Values.environment "log" .Values.log | toJson | sha256sum }}
{{- end -}}

{{/* hostpath-csi.sidecar: the container of [root, values, name, port, args, env]. */}}
{{- define "hostpath-csi.sidecar" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $name := index . 2 -}}
{{- $port := index . 3 -}}
{{- $args := index . 4 -}}
{{- $env := index . 5 -}}
- name: csi-{{ $name }}
  image: {{ $values.image.repository }}:{{ $values.image.tag }}
  {{- with $root.Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  args:
    - --csi-address=unix:///csi/csi.sock
    - --http-endpoint=:{{ $port }}
    - --leader-election=$(LEADER_ELECTION)
    {{- range concat $args $values.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    - name: LEADER_ELECTION
      value: {{ gt (int $root.Values.controller.replicas) 1 | quote }}
    {{- range $variable, $field := $env }}
    - name: {{ $variable }}
      valueFrom:
        fieldRef:
          fieldPath: {{ $field }}
    {{- end }}
  ports:
    - name: {{ $name }}
      containerPort: {{ $port }}
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  volumeMounts:
    - name: socket
      mountPath: /csi
{{- end -}}
