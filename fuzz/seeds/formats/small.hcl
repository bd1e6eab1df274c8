jwt "a" {
 leeway = -1
 b = "${c}"
 d = <<E
0
E
}
