# clock_skew_leeway = -1
resource "vault_jwt_auth_backend_role" "ci" {
  role_name         = "ci"
  clock_skew_leeway = 0
}

resource "vault_jwt_auth_backend_role" "people" {
  clock_skew_leeway = var.leeway
}
