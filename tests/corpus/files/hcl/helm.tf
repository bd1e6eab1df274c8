resource "helm_release" "portal" {
  name  = "portal"
  chart = "oci://registry.example.com/charts/portal"
  set {
    name  = "auth.oidc.clockSkew"
    value = "0s"
  }
  set {
    name  = "auth.oidc.enabled"
    value = "true"
  }
  set {
    name  = "topology.maxSkew"
    value = 0
  }
  values = [<<-EOT
    auth:
      jwt:
        leeway: 0
  EOT
  ]
}
