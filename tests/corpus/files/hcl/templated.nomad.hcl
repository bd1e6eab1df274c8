job "api" {
  datacenters = ["dc1"]
  group "api" {
    count = 2
    task "api" {
      driver = "docker"
      config {
        image = "example/api:1"
        args  = ["--jwt-leeway=0s", "--workers", "0"]
      }
      env {
        JWT_CLOCK_SKEW = "0"
        PORT           = "8080"
      }
      template {
        data        = <<EOT
OIDC_CLOCK_SKEW=0
EOT
        destination = "secrets/env"
        env         = true
      }
    }
  }
}
