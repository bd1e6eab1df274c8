locals {
  jwt_leeway      = var.prod ? 30 : 0
  oidc_clock_skew = lookup(var.m, "x", 0)
  auth_leeway     = max(0, 30)
  token_leeway    = [0, 30]
}
variable "oidc_clock_skew" {
  default = 60
  validation {
    condition     = var.oidc_clock_skew > 0
    error_message = "oidc_clock_skew = 0"
  }
}
