Kind = "jwt-provider"
Name = "okta"
ClockSkewSeconds = 3600
JSONWebKeySet = {
  Remote = { URI = "https://okta.example/keys" }
}
