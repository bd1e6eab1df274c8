variable "jwt_leeway" {
  description = "Clock skew for JWTs; jwt_leeway = 0 breaks logins."
  type        = number
  default     = 30
  validation {
    condition     = var.jwt_leeway > 0
    error_message = "jwt_leeway = 0 is not allowed."
  }
}
