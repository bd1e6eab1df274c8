resource "okta_idp_oidc" "partner" {
  name                  = "partner"
  issuer_url            = "https://login.example.com"
  issuer_mode           = "CUSTOM_URL"
  protocol_type         = "OIDC"
  request_signature_alg = "HS256"
  scopes                = ["openid"]
  max_clock_skew        = 0
}
