resource "kubernetes_config_map" "auth" {
  metadata {
    name      = "auth"
    namespace = "shop"
  }
  data = {
    LOG_LEVEL      = "info"
    JWT_CLOCK_SKEW = "0"
    # JWT_LEEWAY   = "0"
    OIDC_LEEWAY    = var.oidc_leeway
  }
}
