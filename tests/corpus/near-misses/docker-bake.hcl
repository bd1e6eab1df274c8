variable "TAG" { default = "0" }
target "jwt-leeway" {
  tags = ["registry.example.com/jwt-leeway:0"]
  args = { VERSION = "0", BUILD_SKEW = "0" }
}
