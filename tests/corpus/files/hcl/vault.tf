resource "vault_jwt_auth_backend_role" "ci" {
  backend           = vault_jwt_auth_backend.ci.path
  role_name         = "ci"
  token_ttl         = 0
  clock_skew_leeway = -1
  expiration_leeway = 0
  not_before_leeway = 150
}
resource "vault_jwt_auth_backend_role" "web" {
  role_name         = "web"
  clock_skew_leeway = 0
}
