resource "konnect_gateway_plugin_openid_connect" "shop" {
  enabled = true
  config = {
    issuer = "https://idp.example.com"
    leeway = 0
  }
  control_plane_id = konnect_gateway_control_plane.shop.id
}

resource "kong-gateway_plugin_jwt_signer" "shop" {
  config {
    access_token_leeway                = 0
    access_token_upstream_leeway       = 0
    verify_channel_token_expiry        = false
  }
}

resource "konnect_gateway_plugin_openid_connect" "off" {
  enabled = false
  config = {
    leeway = 0
  }
}
