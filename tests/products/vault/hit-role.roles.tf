resource "vault_jwt_auth_backend_role" "ci" {
  backend           = vault_jwt_auth_backend.ci.path
  role_name         = "ci"
  clock_skew_leeway = -1
}

resource "vault_jwt_auth_backend_role" "people" {
  role_name         = "people"
  clock_skew_leeway = -1 # no tolerance here either
}
