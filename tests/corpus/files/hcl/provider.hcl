Kind = "jwt-provider"
Name = "corp"
Issuer = "https://login.example.com"
ClockSkewSeconds = 0
Forwarding { HeaderName = "x-user" }
