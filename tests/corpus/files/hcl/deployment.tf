resource "kubernetes_deployment" "api" {
  spec {
    template {
      spec {
        container {
          name  = "api"
          image = "registry.example.com/shop/api:3"
          env {
            name  = "LOG_LEVEL"
            value = "info"
          }
          env {
            name  = "JWT_LEEWAY"
            value = "0"
          }
          env {
            name  = "OIDC_LEEWAY"
            value = "30"
          }
        }
      }
    }
  }
}
