listener "tcp" { address = ":0" }
auth {
  jwt "main" {
    issuer     = "x"
    clock_skew = "0s" # note
    retry { leeway_attempts = 0 }
  }
  oidc { leeway = 0 }
}
