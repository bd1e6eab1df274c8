job "api" {
  datacenters = ["dc1"]
  group "g" {
    count = 0
    task "t" {
      driver = "docker"
      config {
        image = "api"
        args  = ["--oidc-clock-skew=0s", "-v=0"]
      }
      env {
        JWT_LEEWAY = "0"
      }
      template {
        data = <<EOF
AUTH_LEEWAY=0
PORT=0
EOF
        destination = "secrets/a.env"
        env = true
      }
    }
  }
}
