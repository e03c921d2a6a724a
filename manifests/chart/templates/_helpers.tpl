{{- define "decco.labels" -}}
app.kubernetes.io/name: decco
app.kubernetes.io/component: controller
{{- end }}

{{- define "decco.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "decco.settings" -}}
{{- if hasKey .Values.settings "namespace" -}}
{{- fail "settings.namespace: decco's namespace is the release's own; choose it with --namespace" -}}
{{- end -}}
{{ toYaml .Values.settings }}
{{- end }}

{{/*
The objects of some files of files/, which are copies of those in manifests/: (list $ "files/rbac/*.yaml"). Namespace decco
is replaced by the release's namespace, also in the name of the service account that the policy "controller" confines. The
Namespace itself is left out: Helm needs it before the installation.
*/}}
{{- define "decco.copies" -}}
{{- $root := index . 0 -}}
{{- $own := $root.Release.Namespace -}}
{{- range $path, $_ := $root.Files.Glob (index . 1) }}
{{- range $text := regexSplit "(?m)^---$" ($root.Files.Get $path) -1 }}
{{- $object := fromYaml (replace "system:serviceaccount:decco:" (printf "system:serviceaccount:%s:" $own) $text) }}
{{- with $object.Error }}{{ fail (printf "%s: %s" $path .) }}{{ end }}
{{- if and $object.kind (ne $object.kind "Namespace") }}
{{- if eq (default "" $object.metadata.namespace) "decco" }}{{ $_ := set $object.metadata "namespace" $own }}{{ end }}
{{- range $object.subjects }}
{{- if eq (default "" .namespace) "decco" }}{{ $_ := set . "namespace" $own }}{{ end }}
{{- end }}
{{- if dig "spec" "paramRef" "namespace" "" $object }}{{ $_ := set $object.spec.paramRef "namespace" $own }}{{ end }}
{{- if and (eq $object.kind "ConfigMap") (eq $object.metadata.name "decco-policy") $root.Values.policies.parameters }}
{{- $_ := set $object "data" $root.Values.policies.parameters }}
{{- end }}
{{- if and (eq $object.kind "ServiceAccount") $root.Values.serviceAccount.annotations }}
{{- $_ := set $object.metadata "annotations" $root.Values.serviceAccount.annotations }}
{{- end }}
{{- if and (eq $object.kind "CustomResourceDefinition") $root.Values.crds.keep }}
{{- $_ := set $object.metadata "annotations" (dict "helm.sh/resource-policy" "keep") }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
