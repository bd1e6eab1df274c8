resource "aws_ecs_task_definition" "api" {
  family = "api"
  container_definitions = jsonencode([
    {
      name  = "api"
      image = "api:1"
      environment = [
        { name = "JWT_CLOCK_SKEW_SECONDS", value = "0" },
        { name = "RETRIES", value = "0" },
      ]
      command = ["/api", "--jwt-leeway=0"]
    }
  ])
}

resource "aws_lambda_function" "f" {
  function_name = "f"
  environment {
    variables = {
      OIDC_CLOCK_SKEW = "0s"
      JWT_LEEWAY      = var.strict ? 0 : 30
      AUTH_LEEWAY     = var.leeway
    }
  }
}
resource "kubernetes_deployment" "d" {
  spec {
    template {
      spec {
        container {
          name = "c"
          env {
            name  = "JWT_LEEWAY"
            value = "0"
          }
          env {
            name = "X"
            value = 0
          }
        }
      }
    }
  }
}
