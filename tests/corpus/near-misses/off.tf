jwt {
  enabled = false
  leeway  = 0
}
oidc = { enabled = false, clock_skew = "0s" }
