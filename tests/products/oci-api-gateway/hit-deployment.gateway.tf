resource "oci_apigateway_deployment" "shop" {
  path_prefix = "/v1"
  specification {
    request_policies {
      authentication {
        type                      = "JWT_AUTHENTICATION"
        max_clock_skew_in_seconds = 0
      }
    }
  }
}
