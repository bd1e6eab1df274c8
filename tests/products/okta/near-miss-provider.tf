resource "okta_idp_saml" "partner" {
  name                     = "partner"
  issuer                   = "https://idp.example.com"
  sso_url                  = "https://idp.example.com/sso"
  acs_type                 = "INSTANCE"
  subject_match_type       = "USERNAME"
  request_signature_scope  = "REQUEST"
  response_signature_scope = "ANY"
  max_clock_skew           = 120000
}
