resource "kubernetes_manifest" "jaeger" {
  manifest = {
    apiVersion = "jaegertracing.io/v1"
    kind       = "Jaeger"
    spec = {
      query = {
        options = {
          "query.max-clock-skew-adjustment" = "0s"
          "query.bearer-token-propagation"  = "true"
        }
      }
    }
  }
}
