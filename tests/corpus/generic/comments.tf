/* jwt {
  leeway = 0
} */
jwt {
  // leeway = 0
  # leeway = 0
  leeway = 30 # leeway = 0
}
