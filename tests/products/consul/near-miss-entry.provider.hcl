Kind = "jwt-provider"
Name = "okta"
ClockSkewSeconds = 0
