{{- define "auth.env" -}}
- name: JWT_LEEWAY
  value: "0"
{{- end -}}
