job "api" {
  group "api" {
    task "server" {
      driver = "docker"
      env {
        JWT_LEEWAY   = "0"
        REFRESH_TOKEN_LEEWAY = "0"
      }
      template {
        destination = "local/app.env"
        data        = <<EOT
OIDC_CLOCK_SKEW=30
EOT
      }
    }
  }
}
