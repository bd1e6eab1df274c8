variable "auth" {
  type = object({ jwt_leeway = optional(number, 30) })
  default = { jwt_leeway = 30 }
}
locals {
  # jwt_leeway = 0
  oidc_leeway = max(var.auth.jwt_leeway, 5)
  message     = "jwt_leeway = 0"
}
output "jwt_leeway" { value = local.oidc_leeway }
