locals {
  common_env = {
    LOG_LEVEL      = "info"
    JWT_ISSUER     = "https://login.example.com"
    JWT_LEEWAY     = "0"
    PRICE_LEEWAY   = "0"
    REFRESH_LEEWAY = "0"
  }
}
module "api" {
  source        = "./modules/service"
  desired_count = 0
  environment = merge(local.common_env, {
    OIDC_CLOCK_SKEW = "0"
    CACHE_TTL       = 0
  })
  jwt = {
    leeway_seconds = 0
    issuer         = "x"
  }
}
module "old" {
  source = "./modules/service"
  count  = 0
  jwt    = { leeway_seconds = 0 }
}
resource "aws_apigatewayv2_authorizer" "a" {
  api_id          = "a"
  authorizer_type = "JWT"
  jwt_configuration { audience = ["a"] }
  authorizer_result_ttl_in_seconds = 0
}
resource "aws_lb_listener_rule" "b" {
  action {
    type = "authenticate-oidc"
    authenticate_oidc { session_timeout = 0 }
  }
}
resource "helm_release" "c" {
  name = "c"
  set {
    name  = "saml.clockSkew"
    value = 0
  }
  values = [<<-EOT
    auth:
      bearer:
        leeway: 0
  EOT
  ]
}
